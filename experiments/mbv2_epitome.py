"""The main job: MobileNetV2 whose 1x1 kernels and classifier are learned samplings.

Full width; each of these kernels is generated from an epitome half its size.

Parameters: 1,167,440 stored of 2,236,106
MAdds: 12.8M, 6.7M folded
Top-1: 81.4 ± 0.3%, three seeds (accuracy_embedded.csv)
Time: 339 s on one core (accuracy_embedded.csv); 255 s on two cores (main_job.csv)
Command:
  python -m neural_epitome.main --experiment=mbv2_epitome
"""

import dataclasses

from experiments.mbv2_dense import CONFIG as DENSE
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.planning import RatePlanner

CONFIG = dataclasses.replace(
  DENSE,
  planner=RatePlanner(rate=2.0, rule=EpitomeRule(routing="factorised")),
  indices=IndexOptions(source="learner", start="spread", noise=0.0),
)
