"""Search: NetAdaptV2 over widths, depth and windows of MobileNetV2-like blocks.

A supernet by ordered dropout on 8,000 of the embedded images, multi-layer coordinate
descent on the other 2,000 to half the multiply-adds, and the network that was found on
all of them. Parameters and MAdds are those of the largest network of the space; top-1
is that of the found one, and the time that of the three stages.

Parameters: 119,802
MAdds: 5.2M
Top-1: 88.4 ± 0.8%, three seeds (search.csv, netadaptv2_from_supernet)
Time: 205 s on two cores (search.csv, ordered_dropout + netadaptv2 +
  netadaptv2_from_supernet)
Command:
  python -m neural_epitome.main --mode=search --experiment=netadaptv2_mobile
"""

from neural_epitome.config import Config, OptimizerOptions, TrainingOptions
from neural_epitome.data.options import Augmentation, DataOptions
from neural_epitome.spaces import SupernetConfig
from neural_epitome.spaces.chain_space import ChainSpace
from neural_epitome.strategies import NetAdapt
from neural_epitome.strategies.options import SearchOptions

CONFIG = Config(
  model=SupernetConfig(
    space=ChainSpace(
      stages=((4, 24, 2), (4, 40, 2), (4, 64, 2)),
      stage_strides=(1, 2, 2),
      stem=16,
      head=256,
      windows=(3, 5),
    ),
  ),
  data=DataOptions(
    train_split="train[:8000]",
    evaluation_split="train[8000:]",
    batch_size=64,
    evaluation_batch_size=250,
    augmentation=Augmentation(flip=True),
  ),
  optimizer=OptimizerOptions(learning_rate=5e-3, warmup_epochs=0.5),
  training=TrainingOptions(epochs=8.0, reestimation_batches=0, evaluate_every=0.0),
  search=SearchOptions(
    strategy=NetAdapt(layers=2, samples=12),
    share=0.5,
    final_epochs=6.0,
    final_learning_rate=3e-3,
  ),
)
