"""ResNet-50 on ImageNet in 5.1 MB, by the recipe of `resnet18_windows_imagenet`.

*Published* of "Permute, Quantize, and Fine-tune" (arXiv 2010.15703): 75.0% top-1 in
5.1 MB, of 76.2% in 102.2 MB.

Parameters: 25,557,032
MAdds: 4,089.2M
Top-1: not run here: it needs ImageNet and accelerators
Time: not run here
Command:
  python -m neural_epitome.main --experiment=resnet50_windows_imagenet --data_dir=DIR \
    --config.training.start=WEIGHTS.pth
"""

import dataclasses

from experiments.resnet18_windows_imagenet import CONFIG as SMALLER
from neural_epitome.models import ResNetConfig

CONFIG = dataclasses.replace(
  SMALLER,
  model=ResNetConfig(depth=50),
  training=dataclasses.replace(SMALLER.training, budget="5.1MB"),
)
