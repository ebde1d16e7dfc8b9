"""MobileNetV2 on ImageNet, every kernel stored, by the Neural Epitome Search recipe.

What the other ImageNet experiments are compared with, and where their data and recipe
stand. Parameters and MAdds are the published ones. *Published*: top-1 72.0% (arXiv
1801.04381, another recipe).

RMSprop in TensorFlow's form, learning rate 0.12 times 0.97 every 3 epochs after 5
epochs of warm-up, weight decay 1e-5, label smoothing 0.1, dropout 0.2, weights
averaged at 0.9998 (report these), batch norm 0.99 and 1e-3, RandomResizedCrop,
flip, colour jitter 0.4, 550 epochs, as in the release. It does not state its batch
size: 2048 is ours, by the rule of 0.016 an image times 256 that the recipe's family
goes by.

Parameters: 3,504,872
MAdds: 300.8M
Top-1: not run here: it needs ImageNet and accelerators
Time: not run here
Command:
  python -m neural_epitome.data.prepare imagenet2012 --source=ARCHIVES --data_dir=DIR
  python -m neural_epitome.main --experiment=mbv2_dense_imagenet --data_dir=DIR
"""

from neural_epitome.config import Config, OptimizerOptions, TrainingOptions
from neural_epitome.data.options import Augmentation, DataOptions
from neural_epitome.models import MobileNetV2Config, NormOptions
from neural_epitome.planning import DensePlanner

CONFIG = Config(
  model=MobileNetV2Config(dropout=0.2),
  norm=NormOptions(momentum=0.99, epsilon=1e-3),
  planner=DensePlanner(),
  data=DataOptions(
    dataset="imagenet2012",
    evaluation_split="validation",
    classes=1000,
    image_size=224,
    crop_fraction=0.875,
    channels=3,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    batch_size=2048,
    evaluation_batch_size=2048,
    workers=16,
    augmentation=Augmentation(minimum_area=0.08, flip=True, color_jitter=0.4),
  ),
  optimizer=OptimizerOptions(
    name="rmsprop",
    learning_rate=0.12,
    schedule="exponential",
    decay_factor=0.97,
    decay_epochs=3.0,
    warmup_epochs=5.0,
    warmup_start=1e-6,
    momentum=0.9,
    decay=0.9,
    epsilon=1e-3,
    weight_decay=1e-5,
  ),
  training=TrainingOptions(
    epochs=550.0,
    label_smoothing=0.1,
    ema_decay=0.9998,
    precision="bfloat16",
    batch_norm="device",
    reestimation_batches=100,
    log_every=100,
    checkpoint_every=600.0,
  ),
)
