"""The control that learns no routing: the plan of mbv2_epitome, every offset 0.

Stores what mbv2_epitome stores less its offsets. This is what the authors' released
networks run.

Parameters: 1,167,370 stored of 2,236,106
MAdds: 12.8M, 6.7M folded
Top-1: 82.2 ± 0.2%, three seeds (accuracy_embedded.csv)
Time: 253 s on one core (accuracy_embedded.csv)
Command:
  python -m neural_epitome.main --experiment=mbv2_tile
"""

import dataclasses

from experiments.mbv2_dense import CONFIG as DENSE
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.planning import RatePlanner

CONFIG = dataclasses.replace(
  DENSE, planner=RatePlanner(rate=2.0, rule=EpitomeRule(routing="tile"))
)
