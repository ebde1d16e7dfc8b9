"""The control that learns no routing: the plan of mbv2_epitome, every offset 0.

Stores what mbv2_epitome stores less its 70 offsets. This is what the authors'
released networks run. Stored parameters 1,167,370; 12.8M MAdds, 6.7M folded.
Expected: top-1 82.2% (three seeds, 82.0 to 82.4), four minutes on one core.
Command: python -m neural_epitome.main --experiment=mbv2_tile
"""

import dataclasses

from experiments.mbv2_dense import CONFIG as DENSE
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.planning import UniformPlanner

CONFIG = dataclasses.replace(
  DENSE, planner=UniformPlanner(rate=2.0, rule=EpitomeRule(routing="tile"))
)
