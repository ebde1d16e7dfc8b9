"""DeiT-tiny on ImageNet from epitomes half the size of its kernels, routing learned.

Query, key and value (one kernel), the output of attention and both kernels of the MLP
are sampled along their channels; patches and classifier stay dense. *Published* of the
dense network: 72.2% top-1 (arXiv 2012.12877, table 5); with epitomes nothing is.

DeiT's 300 epochs (its table 9): AdamW, learning rate 5e-4 for 512 images, 5 epochs of
warm-up and a cosine to zero, weight decay 0.05 on kernels alone, label smoothing 0.1,
stochastic depth 0.1, RandomResizedCrop, flip, RandAugment of magnitude 9, mixup 0.8. Of
that table CutMix, random erasing and repeated augmentation are not in this package.
Data and how to prepare them: `mbv2_dense_imagenet`.

MAdds count attention's two products, 178.8M of them, as published counts do.

Parameters: 3,063,304 stored of 5,717,416
MAdds: 1,253.7M, 730.8M folded
Top-1: not run here: it needs ImageNet and accelerators
Time: not run here
Command:
  python -m neural_epitome.main --experiment=deit_tiny_epitome_imagenet --data_dir=DIR
"""

import dataclasses

from experiments.mbv2_dense_imagenet import CONFIG as DENSE
from neural_epitome.config import OptimizerOptions
from neural_epitome.data.options import Augmentation
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.models import NormOptions
from neural_epitome.models.vision_transformer import DEIT_TINY
from neural_epitome.planning import RatePlanner

CONFIG = dataclasses.replace(
  DENSE,
  model=DEIT_TINY,
  norm=NormOptions(),
  planner=RatePlanner(
    rate=2.0,
    rule=EpitomeRule(routing="factorised"),
    keep=("classifier/kernel",),
  ),
  indices=IndexOptions(source="learner", start="spread"),
  execution="fold",
  data=dataclasses.replace(
    DENSE.data,
    batch_size=1024,
    augmentation=Augmentation(
      minimum_area=0.08, flip=True, policy="randaugment", mixup=0.8
    ),
  ),
  optimizer=OptimizerOptions(learning_rate=1e-3, warmup_epochs=5.0, weight_decay=0.05),
  training=dataclasses.replace(
    DENSE.training, epochs=300.0, ema_decay=0.0, reestimation_batches=0
  ),
)
