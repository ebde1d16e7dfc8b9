"""MobileNetV2 on ImageNet by the recipe of the Neural Epitome Search release.

Expansions, projections and the head are sampled from epitomes half their size with
learned routing; the stem, the first projection, depthwise kernels and the
classifier stay dense, as the authors have it. 2.44M parameters and 170.0M MAdds
folded, against 3.50M and 300.8M (*measured*: counted here, and as published).

*Published* for this family: +1.47 top-1 over the full model with 25% fewer MAdds
(ICLR 2020, abstract). Not measured here: a run needs ImageNet and accelerators.
Recipe, data and how to prepare them: `mbv2_dense_imagenet`.
Command: python -m neural_epitome.main --experiment=mbv2_epitome_imagenet
    --data_dir=DIR
"""

import dataclasses

from experiments.mbv2_dense_imagenet import CONFIG as DENSE
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.planning import UniformPlanner

CONFIG = dataclasses.replace(
  DENSE,
  planner=UniformPlanner(
    rate=2.0,
    rule=EpitomeRule(routing="factorised"),
    only=("*/expand/kernel", "*/project/kernel", "head/kernel"),
    keep=("block_0/project/kernel",),
  ),
  indices=IndexOptions(source="learner", start="spread"),
  execution="fold",
)
