"""What a search experiment says beside its supernet."""

import dataclasses
from typing import Literal

from neural_epitome.domains import Amount, Count, Positive, Seed, Share, Whole
from neural_epitome.strategies import NetAdapt, Strategy


@dataclasses.dataclass(frozen=True)
class SearchOptions:
  """How a trained supernet is searched, and how the chosen network is trained.

  The supernet trains as config.training says on config.data.train_split, and choices
  are compared on config.data.evaluation_split, which must not be the test split.

  Attributes:
    strategy: the search method.
    metric: of the budget: multiply-adds or parameters or bytes of the folded network,
      or milliseconds of `latency_table`.
    budget: in units of the metric; 0 takes `share`.
    share: of the largest network's price, where there is no budget.
    latency_table: file that --mode=latency_table wrote; needed for the metric
      `latency`. With any other metric, latencies are then reported beside it.
    any_machine: whether a table of another machine or runtime will do.
    statistics_batches: training batches from which the batch norms of each choice are
      estimated anew.
    examples: of the evaluation split that a choice is compared on; 0 is all.
    seed: of what the strategy draws.
    final_start: whether the choice begins at the supernet's weights, or anew.
    final_epochs: of its own training.
    final_train_split: that it trains on.
    final_evaluation_split: the test split, read once.
    final_learning_rate: its peak; 0 for that of the supernet.
  """

  strategy: Strategy = NetAdapt()
  metric: Literal["madds", "parameters", "bytes", "latency"] = "madds"
  budget: Amount = 0.0
  share: Share = 0.5
  latency_table: str = ""
  any_machine: bool = False
  statistics_batches: Count = 4
  examples: Whole = 0
  seed: Seed = 0
  final_start: Literal["supernet", "scratch"] = "supernet"
  final_epochs: Positive = 5.0
  final_train_split: str = "train"
  final_evaluation_split: str = "test"
  final_learning_rate: Amount = 0.0
