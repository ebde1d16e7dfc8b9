"""Search: NAT changes a given network of MobileNetV2-like blocks, which gets no dearer.

The space and the supernet of `netadaptv2_mobile`. A policy learns on random choices
which windows, widths and blocks to bring down, and changes the choice of a file, such
as the found.json of another search; the largest choice where none is named. The best
change on held-out images, or the given choice if none is better, is trained. Parameters
and MAdds are those of the largest network of the space.

Parameters: 119,802
MAdds: 5.2M
Top-1: not measured: its policy is judged where the truth is known (transform.csv)
Time: not measured
Command:
  python -m neural_epitome.main --mode=search --experiment=nat_chain
"""

from neural_epitome.config import Config, OptimizerOptions, TrainingOptions
from neural_epitome.data.options import Augmentation, DataOptions
from neural_epitome.spaces import SupernetConfig
from neural_epitome.spaces.chain_space import ChainSpace
from neural_epitome.strategies import NatSearch
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
    strategy=NatSearch(),
    share=1.0,
    final_epochs=6.0,
    final_learning_rate=3e-3,
  ),
)
