"""The control that changes the architecture: fewer channels, the same stored size.

Width 0.68 stores within 1% of what mbv2_epitome stores.

Parameters: 1,160,778
MAdds: 6.6M
Top-1: 83.0 ± 0.4%, three seeds (accuracy_embedded.csv)
Time: 181 s on one core (accuracy_embedded.csv)
Command:
  python -m neural_epitome.main --experiment=mbv2_width
"""

import dataclasses

from experiments.mbv2_dense import CONFIG as DENSE

CONFIG = dataclasses.replace(DENSE, model=dataclasses.replace(DENSE.model, width=0.68))
