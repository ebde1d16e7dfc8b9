"""Search: NSE in minutes, seven operations in four cells of a small network.

Three rounds of Neural Search-space Evolution (arXiv 2011.10904): a supernet of three
operations a cell on 8,000 of the embedded images, gates beside it on the other 2,000,
24 architectures drawn from the gates and scored, their front retained. What is found is
trained from random weights. Where several operations of a cell survive, one more joins
nevertheless, which NSE's authors do not have: with so few rounds most would never be
seen. Parameters and MAdds are those of all operations together.

Parameters: 59,122
MAdds: 3.2M
Top-1: 84.6 ± 0.3%, three seeds (nse_quick.csv, search)
Time: 239 s on two cores (nse_quick.csv, search)
Command:
  python -m neural_epitome.main --mode=search --experiment=nse_quick
"""

from neural_epitome.config import Config, OptimizerOptions, TrainingOptions
from neural_epitome.data.options import Augmentation, DataOptions
from neural_epitome.models.multi_branch import MultiBranchConfig, Stage
from neural_epitome.spaces import MultiBranchSupernetConfig
from neural_epitome.spaces.gate_options import GateOptions, Penalty
from neural_epitome.spaces.multi_branch_space import MultiBranchSpace
from neural_epitome.strategies import NSE
from neural_epitome.strategies.options import SearchOptions

CONFIG = Config(
  model=MultiBranchSupernetConfig(
    space=MultiBranchSpace(
      MultiBranchConfig(
        stem=8, stem_cells=1, stages=(Stage(16, 2, 1), Stage(24, 2, 0)), head=64
      ),
      image_size=28,
      # Depthwise 3x3 at expansions 1, 3 and 6, a dilated one, and 5x5.
      only=((0, 3, 4, 6, 9, 10, 11),) * 4,
    ),
    gates=GateOptions(learning_rate=0.05, penalties=(Penalty(weight=20.0),)),
  ),
  data=DataOptions(
    train_split="train[:8000]",
    evaluation_split="train[8000:]",
    batch_size=64,
    evaluation_batch_size=250,
    augmentation=Augmentation(flip=True),
  ),
  optimizer=OptimizerOptions(learning_rate=1e-2, warmup_epochs=0.25),
  training=TrainingOptions(
    epochs=1.5,
    label_smoothing=0.0,
    reestimation_batches=0,
    evaluate_every=0.0,
    tensorboard=False,
  ),
  search=SearchOptions(
    strategy=NSE(capacity=3, samples=24, extra=4, drift=0.15, strip=0.1, least=1),
    share=0.25,
    statistics_batches=2,
    examples=1000,
    final_start="scratch",
    final_epochs=3.0,
  ),
)
