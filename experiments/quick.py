"""Seconds, not accuracy: a narrow ResNet-8 on 640 images, every part at work.

Learned factorised routing with spatial crops, averaged weights, mixup, dropout,
a frozen routing map at the end and batch-norm re-estimation.

Parameters: 7,086 stored of 19,810
MAdds: 0.6M, 0.1M folded
Top-1: not measured: two epochs of 640 images say nothing
Time: not measured
Command:
  python -m neural_epitome.main --experiment=quick
"""

from neural_epitome.config import Config, OptimizerOptions, TrainingOptions
from neural_epitome.data.options import Augmentation, DataOptions
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.models import ResNetConfig
from neural_epitome.planning import RatePlanner

CONFIG = Config(
  model=ResNetConfig(depth=8, width=0.5, stem_stride=2, dropout=0.1),
  planner=RatePlanner(
    rate=3.0,
    rule=EpitomeRule(side="both", margin=1),
    keep=("classifier/kernel",),
  ),
  indices=IndexOptions(source="learner", start="spread", noise=0.0),
  data=DataOptions(
    train_split="train[:640]",
    evaluation_split="test[:200]",
    batch_size=32,
    evaluation_batch_size=100,
    augmentation=Augmentation(flip=True, mixup=0.1),
  ),
  optimizer=OptimizerOptions(learning_rate=3e-3, warmup_epochs=0.25),
  training=TrainingOptions(
    epochs=2.0,
    ema_decay=0.9,
    frozen_fraction=0.25,
    reestimation_batches=4,
    log_every=5,
  ),
)
