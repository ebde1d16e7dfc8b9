"""ResNet-50 on ImageNet from epitomes half the size of its kernels, routing learned.

3x3 kernels are cropped and sampled from 4x4 epitomes, 1x1 kernels sampled along their
channels; the stem and the classifier stay dense. *Published* of the dense network:
76.1% top-1 (torchvision's first weights); with epitomes nothing is.

The usual 90 epochs: SGD with momentum 0.9, learning rate 0.1 for 256 images, 5 epochs
of warm-up and a cosine to zero, weight decay 1e-4, label smoothing 0.1,
RandomResizedCrop and flip. Data and how to prepare them: `mbv2_dense_imagenet`.

Parameters: 13,834,367 stored of 25,557,032
MAdds: 4,089.2M, 1,700.0M folded
Top-1: not run here: it needs ImageNet and accelerators
Time: not run here
Command:
  python -m neural_epitome.main --experiment=resnet50_epitome_imagenet --data_dir=DIR
"""

import dataclasses

from experiments.mbv2_dense_imagenet import CONFIG as DENSE
from neural_epitome.config import OptimizerOptions
from neural_epitome.data.options import Augmentation
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.models import NormOptions, ResNetConfig
from neural_epitome.planning import RatePlanner

CONFIG = dataclasses.replace(
  DENSE,
  model=ResNetConfig(depth=50),
  norm=NormOptions(momentum=0.9, epsilon=1e-5),
  planner=RatePlanner(
    rate=2.0,
    rule=EpitomeRule(side="both", margin=1, routing="factorised"),
    keep=("classifier/kernel",),
  ),
  indices=IndexOptions(source="learner", start="spread"),
  execution="fold",
  data=dataclasses.replace(
    DENSE.data,
    batch_size=1024,
    augmentation=Augmentation(minimum_area=0.08, flip=True),
  ),
  optimizer=OptimizerOptions(
    name="sgd", learning_rate=0.4, warmup_epochs=5.0, momentum=0.9, weight_decay=1e-4
  ),
  training=dataclasses.replace(DENSE.training, epochs=90.0, ema_decay=0.0),
)
