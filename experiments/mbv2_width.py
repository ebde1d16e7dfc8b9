"""The control that changes the architecture: fewer channels, the same stored size.

Width 0.68 stores 1,160,778 parameters, within 1% of mbv2_epitome's 1,167,440.
"""

import dataclasses

from experiments.mbv2_dense import CONFIG as DENSE

CONFIG = dataclasses.replace(DENSE, model=dataclasses.replace(DENSE.model, width=0.68))
