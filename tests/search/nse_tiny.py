"""A search of seconds by NSE: two cells, three operations, two rounds."""

from neural_epitome.config import Config, OptimizerOptions, TrainingOptions
from neural_epitome.data.options import DataOptions
from neural_epitome.models.multi_branch import MultiBranchConfig, Stage
from neural_epitome.spaces import MultiBranchSupernetConfig
from neural_epitome.spaces.gate_options import GateOptions, Penalty
from neural_epitome.spaces.multi_branch_space import MultiBranchSpace
from neural_epitome.strategies import NSE
from neural_epitome.strategies.options import SearchOptions

SPACE = MultiBranchSpace(
  MultiBranchConfig(stem=8, stages=(Stage(16, 2, 0),), head=16),
  image_size=8,
  only=((0, 1, 3),) * 2,
)
CONFIG = Config(
  name="evolved",
  model=MultiBranchSupernetConfig(
    SPACE, gates=GateOptions(learning_rate=0.1, penalties=(Penalty(weight=1e3),))
  ),
  data=DataOptions(
    image_size=8,
    train_split="train[:256]",
    evaluation_split="train[256:320]",
    batch_size=16,
    evaluation_batch_size=32,
  ),
  optimizer=OptimizerOptions(learning_rate=3e-3),
  training=TrainingOptions(
    epochs=0.5,
    reestimation_batches=0,
    evaluate_every=0.0,
    checkpoint_every=0.0,
    tensorboard=False,
    log_every=4,
  ),
  search=SearchOptions(
    strategy=NSE(capacity=2, samples=4, extra=2, drift=0.3, strip=0.3, least=1),
    share=0.6,
    statistics_batches=1,
    final_start="scratch",
    final_epochs=0.25,
    final_train_split="train[:320]",
    final_evaluation_split="test[:64]",
  ),
)
