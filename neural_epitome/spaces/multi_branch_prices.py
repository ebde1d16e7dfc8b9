"""The price of a choice of a multi-branch space: one function of its gates.

The authors' code of NSE has two latencies of one architecture, that of the network and
that by which it draws; here penalties, windows and reports ask the same sums.
"""

import dataclasses
import functools

import numpy as np

from neural_epitome.spaces import multi_branch_costs
from neural_epitome.spaces.branches import Branches
from neural_epitome.spaces.gate_options import Metric
from neural_epitome.spaces.multi_branch_latency import BranchTimes
from neural_epitome.spaces.multi_branch_space import MultiBranchSpace

_BYTES = 4  # of a stored parameter


@dataclasses.dataclass(frozen=True, eq=False)
class BranchPrices:
  """Prices every choice of a space.

  Attributes:
    space: the choices.
    classes: number of classes.
    channels: of the images.
    times: measured latencies; without them there is no `latency`.
  """

  space: MultiBranchSpace
  classes: int
  channels: int
  times: BranchTimes | None = None

  def of(self, arch: Branches) -> dict[str, float]:
    """The price by metric; bytes are those of float32."""
    price = {
      metric: float(np.sum(self.of_cells(metric, np.asarray(arch.gates))))
      + self.ends(metric)
      for metric in self.metrics
    }
    return price | {"bytes": _BYTES * price["parameters"]}

  @property
  def metrics(self) -> tuple[Metric, ...]:
    """What can be told."""
    return (
      ("madds", "parameters")
      if self.times is None
      else (
        "madds",
        "parameters",
        "latency",
      )
    )

  def of_cells(self, metric: Metric, gates: np.ndarray) -> np.ndarray:
    """What cells cost with some of their operations.

    Args:
      metric: which price.
      gates: (..., cells, operations), 1 for those that are on.

    Returns:
      float64 (..., cells).
    """
    branches, joins = self._tables[metric]
    count = np.sum(gates, axis=-1)
    joined = np.maximum(0, count - 1 + self.space.may_be_empty)
    return np.sum(gates * branches, axis=-1) + joined * joins

  def ends(self, metric: Metric) -> float:
    """Of stem, head and classifier."""
    if metric == "latency":
      assert self.times is not None
      return self.times.ends
    own = multi_branch_costs.of_ends(
      self.space.frame, self.space.image_size, self.channels, self.classes
    )
    return own[("madds", "parameters").index(metric)]

  @functools.cached_property
  def _tables(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of every branch (cells, operations), and of every sum of two arrays (cells,)."""
    nothing = np.zeros(self.space.places)
    madds, parameters = self.space.branch_costs
    tables = {"madds": (madds, nothing), "parameters": (parameters, nothing)}
    if self.times is not None:
      tables["latency"] = self.times.tables(self.space)
    return tables
