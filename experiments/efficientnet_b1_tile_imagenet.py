r"""EfficientNet-B1 on ImageNet as it was released: every 1x1 kernel tiled twice.

The authors' network: 224 px, squeeze-and-excitation grouped, a classifier of 4 groups;
expansions, projections and the head are half their size and repeated, with nothing
learned about where. EfficientNet-B1 without groups has 7.79M parameters
(tests/models/test_counts.py).
*Published*: 77.50% top-1 with the averaged weights, at epoch 517 (the release's log).
Recipe, data and how to prepare them: `mbv2_dense_imagenet`; the release gives no
probability of dropping a path, 0.2 is EfficientNet's own.

Parameters: 3,217,384 stored of 5,752,872
MAdds: 567.6M, 315.1M folded
Top-1: not run here: it needs ImageNet and accelerators
Time: not run here
Command:
  python -m neural_epitome.main --experiment=efficientnet_b1_tile_imagenet \
    --data_dir=DIR
"""

import dataclasses

from experiments.mbv2_dense_imagenet import CONFIG as DENSE
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.models import EfficientNetConfig
from neural_epitome.planning import RatePlanner

CONFIG = dataclasses.replace(
  DENSE,
  model=EfficientNetConfig(variant="b1", grouped_se=True, classifier_groups=4),
  planner=RatePlanner(
    rate=2.0,
    rule=EpitomeRule(routing="tile"),
    only=("*/expand/kernel", "*/project/kernel", "head/kernel"),
  ),
  execution="fold",
)
