"""MobileNetV2 from one epitome: all its 1x1 kernels and the classifier share it.

A sixteenth of their weights is stored, in one ring of numbers and a learned factor for
every 1,024 weights (docs/results/controls.md: `learned`).

Parameters: 232,223 stored of 2,236,106
MAdds: 12.8M
Top-1: not run here: only smaller networks were compared
Time: not run here
Command:
  python -m neural_epitome.main --experiment=mbv2_shared
"""

import dataclasses

from experiments.mbv2_dense import CONFIG as DENSE
from neural_epitome.epitome.generators import SharedEpitomeRule
from neural_epitome.planning import RatePlanner

CONFIG = dataclasses.replace(
  DENSE,
  planner=RatePlanner(rate=16.0, rule=SharedEpitomeRule(block=1024)),
)
