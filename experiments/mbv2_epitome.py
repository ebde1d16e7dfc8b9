"""The main job: MobileNetV2 whose 1x1 kernels and classifier are learned samplings.

Full width; each of these kernels is generated from an epitome half its size.
Stored parameters 1,167,440; 12.8M MAdds. Expected: top-1 81.4% (three seeds, 81.1 to
81.6), under five minutes on two cores, compilation included.
Command: python -m neural_epitome.main --experiment=mbv2_epitome
"""

import dataclasses

from experiments.mbv2_dense import CONFIG as DENSE
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.planning import UniformPlanner

CONFIG = dataclasses.replace(
  DENSE,
  planner=UniformPlanner(rate=2.0, rule=EpitomeRule(routing="factorised")),
  indices=IndexOptions(source="learner", start="spread", noise=0.0),
)
