"""The control that learns no routing: the plan of mbv2_epitome, every offset 0.

Stores what mbv2_epitome stores less its 70 offsets. This is what the authors'
released networks run.
"""

import dataclasses

from experiments.mbv2_dense import CONFIG as DENSE
from neural_epitome.planning import UniformPlanner

CONFIG = dataclasses.replace(DENSE, planner=UniformPlanner(rate=2.0, routing="tile"))
