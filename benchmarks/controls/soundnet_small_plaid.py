r"""A small SoundNet on PLAID, currents of appliances, every kernel stored.

Eleven kinds of appliance, 537 training and 537 test series of 100 to 1,344 samples,
cut or padded to 512. The currents come with the package sktime (pip install --no-deps
sktime).

Parameters: 217,291
MAdds: 10.8M
Top-1: 83.9 ± 1.6%, three seeds (accuracy_plaid.csv)
Time: 208 s on one core (accuracy_plaid.csv)
Command:
  python -m neural_epitome.data.prepare plaid --data_dir=DIR
  python -m neural_epitome.main \
    --experiment=benchmarks/controls/soundnet_small_plaid.py --data_dir=DIR
"""

from neural_epitome.config import Config, OptimizerOptions, TrainingOptions
from neural_epitome.data.options import SignalAugmentation, SignalOptions
from neural_epitome.models import NormOptions, SoundNetConfig
from neural_epitome.planning import DensePlanner

CONFIG = Config(
  model=SoundNetConfig(
    channels=(32, 64, 128, 256),
    windows=(16, 8, 8, 4),
    strides=(2, 2, 2, 2),
    pools=(1, 1, 1, 1),
  ),
  norm=NormOptions(momentum=0.9, epsilon=1e-5),
  planner=DensePlanner(),
  data=SignalOptions(
    dataset="plaid",
    classes=11,
    length=512,
    anchor="centre",
    normalisation="rms",
    batch_size=32,
    evaluation_batch_size=180,
    augmentation=SignalAugmentation(random_crop=True, noise=0.05),
  ),
  optimizer=OptimizerOptions(name="adamw", learning_rate=3e-3, weight_decay=0.01),
  training=TrainingOptions(epochs=30.0, evaluate_every=10.0),
)
