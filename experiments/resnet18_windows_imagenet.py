"""ResNet-18 on ImageNet in 1.54 MB, from torchvision's weights: windows, then training.

Every kernel of a trained network is stored in the way that loses least for its bytes,
most of them in windows of a ring, and what is stored is trained on, taught by the
network that it came from. *Published* of "Permute, Quantize, and Fine-tune" (arXiv
2010.15703): 66.7% top-1 in 1.54 MB, of 69.8% in 46.8 MB; 9 epochs of Adam.

The recipe is of that kind and ours: 9 epochs of AdamW, learning rate 1e-3 for 1,024
images, half an epoch of warm-up and a cosine to zero, hardly any weight decay, since
what is stored comes from trained weights. RandomResizedCrop and flip. Data and how to
prepare them: `mbv2_dense_imagenet`. Without WEIGHTS.pth,
`--config.training.dense_epochs=90` trains the network itself.

Parameters: 11,689,512
MAdds: 1,814.1M
Top-1: not run here: it needs ImageNet and accelerators
Time: not run here
Command:
  python -m neural_epitome.main --experiment=resnet18_windows_imagenet --data_dir=DIR \
    --config.training.start=WEIGHTS.pth
"""

import dataclasses

from experiments.mbv2_dense_imagenet import CONFIG as DENSE
from neural_epitome.config import OptimizerOptions
from neural_epitome.data.options import Augmentation
from neural_epitome.models import NormOptions, ResNetConfig

CONFIG = dataclasses.replace(
  DENSE,
  model=ResNetConfig(depth=18),
  norm=NormOptions(momentum=0.9, epsilon=1e-5),
  data=dataclasses.replace(
    DENSE.data,
    batch_size=1024,
    augmentation=Augmentation(minimum_area=0.08, flip=True),
  ),
  optimizer=OptimizerOptions(
    name="adamw", learning_rate=1e-3, warmup_epochs=0.5, weight_decay=1e-6
  ),
  training=dataclasses.replace(
    DENSE.training,
    budget="1.54MB",
    epochs=9.0,
    ema_decay=0.0,
    teacher_share=0.7,
    temperature=4.0,
    label_smoothing=0.0,
  ),
)
