"""SoundNet-8 on ESC-50, every kernel but the first sampled from a learned epitome.

Epitomes an eighth of their kernels, longer than these by two samples: offsets along
time and along both channel axes are learned. Five-second clips at 16 kHz, cut at a
random place; fold 5 held out (the official protocol leaves out each fold in turn). The
tests train on a toy set of the same form.

Parameters: 414,690 stored of 2,923,538
MAdds: 87.2M, 38.6M folded
Top-1: not run here: ESC-50 is downloaded by hand, from
  https://github.com/karolpiczak/ESC-50
Time: not run here
Command:
  python -m neural_epitome.data.prepare esc50 --source=FOLDER --data_dir=DIR
  python -m neural_epitome.main --experiment=soundnet_epitome_esc50 --data_dir=DIR
"""

from neural_epitome.config import Config, OptimizerOptions, TrainingOptions
from neural_epitome.data.options import SignalAugmentation, SignalOptions
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.models import NormOptions, SoundNetConfig
from neural_epitome.planning import RatePlanner

CONFIG = Config(
  model=SoundNetConfig(dropout=0.2),
  norm=NormOptions(momentum=0.9, epsilon=1e-5),
  planner=RatePlanner(
    rate=8.0,
    rule=EpitomeRule(side="both", margin=2, routing="factorised"),
    keep=("classifier/kernel",),
  ),
  indices=IndexOptions(source="learner", start="spread", noise=0.0),
  data=SignalOptions(
    dataset="esc50",
    train_split="fold_1+fold_2+fold_3+fold_4",
    evaluation_split="fold_5",
    classes=50,
    length=64000,
    sample_rate=16000,
    anchor="centre",
    batch_size=64,
    evaluation_batch_size=50,
    cache_megabytes=512,
    augmentation=SignalAugmentation(
      random_crop=True, speed=0.25, gain=6.0, noise=0.05, mixup=0.2
    ),
  ),
  optimizer=OptimizerOptions(learning_rate=2e-3, warmup_epochs=5.0, weight_decay=0.05),
  training=TrainingOptions(epochs=200.0, evaluate_every=10.0),
)
