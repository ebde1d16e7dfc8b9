"""The control that changes the architecture: fewer channels, the same stored size.

Width 0.68 stores 1,160,778 parameters, within 1% of mbv2_epitome's 1,167,440; 6.6M
MAdds. Expected: top-1 83.0% (three seeds, 82.6 to 83.4), three minutes on one core.
Command: python -m neural_epitome.main --experiment=mbv2_width
"""

import dataclasses

from experiments.mbv2_dense import CONFIG as DENSE

CONFIG = dataclasses.replace(DENSE, model=dataclasses.replace(DENSE.model, width=0.68))
