r"""NSENet-27 on ImageNet: the network that NSE found among 27 operations.

As published (arXiv 2011.10904), without what its encoding does not say; the authors
report 77.3% top-1 for their network of 333 million multiply-adds. The recipe of its
training is not released. This is the common part of their settings, stochastic gradient
descent with a peak of 0.4 at 1,024 images a step, cosine, weight decay 4e-5, with label
smoothing, averaged weights and 250 epochs, which are ours.

Parameters: 4,571,488
MAdds: 326.3M
Top-1: not run here: it needs ImageNet and accelerators
Time: not run here
Command:
  python -m neural_epitome.data.prepare imagenet2012 --source=ARCHIVES --data_dir=DIR
  python -m neural_epitome.main --experiment=nsenet27_imagenet --data_dir=DIR
"""

import dataclasses

from experiments.mbv2_dense_imagenet import CONFIG as DENSE
from neural_epitome.config import OptimizerOptions
from neural_epitome.data.options import Augmentation
from neural_epitome.models import NormOptions
from neural_epitome.models.nse_networks import NSENET27

CONFIG = dataclasses.replace(
  DENSE,
  model=NSENET27,
  norm=NormOptions(),
  data=dataclasses.replace(
    DENSE.data,
    batch_size=1024,
    evaluation_batch_size=1024,
    augmentation=Augmentation(minimum_area=0.08, flip=True, color_jitter=0.2),
  ),
  optimizer=OptimizerOptions(
    name="sgd",
    learning_rate=0.4,
    warmup_epochs=2.0,
    warmup_start=0.1,
    weight_decay=4e-5,
  ),
  training=dataclasses.replace(DENSE.training, epochs=250.0, batch_norm="global"),
)
