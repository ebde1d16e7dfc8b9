"""MobileNetV2 on ImageNet by the recipe of the Neural Epitome Search release.

Expansions, projections and the head are sampled from epitomes half their size with
learned routing; the stem, the first projection, depthwise kernels and the
classifier stay dense, as the authors have it.

*Published* for this family: +1.47 top-1 over the full model with 25% fewer MAdds
(ICLR 2020, abstract).
Recipe, data and how to prepare them: `mbv2_dense_imagenet`.

Parameters: 2,442,858 stored of 3,504,872
MAdds: 300.8M, 170.0M folded
Top-1: not run here: it needs ImageNet and accelerators
Time: not run here
Command:
  python -m neural_epitome.main --experiment=mbv2_epitome_imagenet --data_dir=DIR
"""

import dataclasses

from experiments.mbv2_dense_imagenet import CONFIG as DENSE
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.planning import RatePlanner

CONFIG = dataclasses.replace(
  DENSE,
  planner=RatePlanner(
    rate=2.0,
    rule=EpitomeRule(routing="factorised"),
    only=("*/expand/kernel", "*/project/kernel", "head/kernel"),
    keep=("block_0/project/kernel",),
  ),
  indices=IndexOptions(source="learner", start="spread"),
  execution="fold",
)
