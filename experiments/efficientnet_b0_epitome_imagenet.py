r"""EfficientNet-B0 on ImageNet, half of every 1x1 kernel, routing learned.

The authors' smallest network with their paper's sampling: expansions, projections and
the head from epitomes half their size, squeeze-and-excitation grouped. EfficientNet-B0
without groups has 5.29M parameters and 385.8M MAdds (tests/models/test_counts.py).
*Published*: 75.02% top-1 with 3.11M parameters and 220M MAdds for the released network,
which tiles and learns no routing; +1.2 over B0 with 10% fewer MAdds for the paper's
(ICLR 2020, abstract).
Recipe, data and how to prepare them: `mbv2_dense_imagenet`; the release gives no
probability of dropping a path, 0.2 is EfficientNet's own.

Parameters: 3,106,276 stored of 4,679,268
MAdds: 385.2M, 215.9M folded
Top-1: not run here: it needs ImageNet and accelerators
Time: not run here
Command:
  python -m neural_epitome.main --experiment=efficientnet_b0_epitome_imagenet \
    --data_dir=DIR
"""

import dataclasses

from experiments.mbv2_dense_imagenet import CONFIG as DENSE
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.models import EfficientNetConfig
from neural_epitome.planning import RatePlanner

CONFIG = dataclasses.replace(
  DENSE,
  model=EfficientNetConfig(grouped_se=True),
  planner=RatePlanner(
    rate=2.0,
    rule=EpitomeRule(routing="factorised"),
    only=("*/expand/kernel", "*/project/kernel", "head/kernel"),
  ),
  indices=IndexOptions(source="learner", start="spread"),
  execution="fold",
)
