"""How the gates of a supernet learn beside its weights.

The A-steps of NSE (Ci et al., ICCV 2021, arXiv 2011.10904); the constants are those of
its authors' code. `training.gate_step` takes them.
"""

import dataclasses
from typing import Literal

from neural_epitome.domains import Amount, Count, Positive

Metric = Literal["madds", "parameters", "latency"]
# Of a metric in a penalty's unit: millions, and milliseconds.
UNITS = {"madds": 1e6, "parameters": 1e6, "latency": 1.0}


@dataclasses.dataclass(frozen=True)
class Penalty:
  """A squared distance from a price, from both sides, added to the loss in nats.

  Attributes:
    metric: the price: multiply-adds or parameters, in millions, or milliseconds of the
      search's latency table.
    target: in that unit; 0 takes the middle of the strategy's window, if the search has
      the same metric, and is no penalty otherwise.
    weight: NSE has 1e-5 for multiply-adds and 2e-4 for its unit of latency.
  """

  metric: Metric = "madds"
  target: Amount = 0.0
  weight: Amount = 1e-5


@dataclasses.dataclass(frozen=True)
class GateOptions:
  """How gates learn.

  Attributes:
    learning_rate: of Adam without momentum.
    every: steps of the weights for one of the gates.
    penalties: of prices.
    latency_table: file of a penalty's latencies; a search sets that of
      config.search.latency_table.
  """

  learning_rate: Positive = 0.005
  every: Count = 2
  penalties: tuple[Penalty, ...] = (Penalty(),)
  latency_table: str = ""

  def aimed(self, metric: str, price: float) -> "GateOptions":
    """The same with a target for the penalties of a metric that have none.

    Args:
      metric: of the price.
      price: in the metric's own unit, as `UNITS` counts it.
    """
    penalties = tuple(
      dataclasses.replace(p, target=price / UNITS[p.metric])
      if p.metric == metric and not p.target
      else p
      for p in self.penalties
    )
    return dataclasses.replace(self, penalties=penalties)
