"""MobileNetV2, full width, every kernel stored: what the others are compared with.

Data: the embedded Fashion-MNIST subset, 10,000 training images at 28 px.

Parameters: 2,236,106
MAdds: 12.8M
Top-1: 83.2 ± 0.7%, three seeds (accuracy_embedded.csv)
Time: 244 s on one core (accuracy_embedded.csv)
Command:
  python -m neural_epitome.main --experiment=mbv2_dense
"""

from neural_epitome.config import Config, OptimizerOptions, TrainingOptions
from neural_epitome.data.options import Augmentation, DataOptions
from neural_epitome.models import MobileNetV2Config, NormOptions
from neural_epitome.planning import DensePlanner

CONFIG = Config(
  # ImageNet's total stride of 32 leaves a 28 px image a single pixel; 16 leaves 2x2.
  model=MobileNetV2Config(stage_strides=(1, 2, 2, 1, 2, 1, 1)),
  norm=NormOptions(momentum=0.9, epsilon=1e-5),
  planner=DensePlanner(),
  data=DataOptions(augmentation=Augmentation(flip=True)),
  optimizer=OptimizerOptions(name="adamw", learning_rate=3e-3, weight_decay=0.01),
  training=TrainingOptions(epochs=5.0),
)
