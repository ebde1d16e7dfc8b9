r"""A small SoundNet on recorded drum sounds, every kernel stored; kits left out.

Eleven instruments, 572 sounds of 13 kits; half a second at 16 kHz from the onset. The
kits of fold 0 are never heard in training; to leave out another fold K, set
config.data.train_split to the sum of the others and config.data.evaluation_split to
fold_K. A fold has 86 to 151 sounds, so one differs from another by tens of points; the
recipe was chosen on folds 1 to 4. The sounds are those of Debian's package
hydrogen-drumkits, installed, or unpacked anywhere and named by --kits.

Parameters: 225,515
MAdds: 8.6M
Top-1: 56.3 ± 5.8%, three seeds (accuracy_drums.csv)
Time: 79 s on one core (accuracy_drums.csv)
Command:
  python -m neural_epitome.data.prepare drums --data_dir=DIR
  python -m neural_epitome.main \
    --experiment=benchmarks/controls/soundnet_small_drums.py --data_dir=DIR
"""

from neural_epitome.config import Config, OptimizerOptions, TrainingOptions
from neural_epitome.data.options import SignalAugmentation, SignalOptions
from neural_epitome.models import NormOptions
from neural_epitome.models.soundnet import SMALL
from neural_epitome.planning import DensePlanner

CONFIG = Config(
  model=SMALL,
  norm=NormOptions(momentum=0.9, epsilon=1e-5),
  planner=DensePlanner(),
  data=SignalOptions(
    dataset="drums",
    train_split="fold_1+fold_2+fold_3+fold_4",
    evaluation_split="fold_0",
    classes=11,
    length=8192,
    sample_rate=16000,
    anchor="start",
    normalisation="peak",
    batch_size=32,
    evaluation_batch_size=160,
    augmentation=SignalAugmentation(shift=0.02, speed=0.15, flip=True, noise=0.02),
  ),
  optimizer=OptimizerOptions(name="adamw", learning_rate=3e-3, weight_decay=0.01),
  training=TrainingOptions(epochs=30.0, evaluate_every=10.0),
)
