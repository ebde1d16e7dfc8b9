"""The operations of a cell's edges, and what each may be exchanged for.

Those of NAT++ (Guo et al., Towards Accurate and Compact Architectures via Neural
Architecture Transformer, TPAMI 2021, arXiv 2102.10301), and its rule of two levels.
"""

import dataclasses
from typing import Literal

import numpy as np

# Each type may become any later one; pools of both sorts stand alike.
TYPES = ("conv", "sep_conv", "dil_conv", "pool", "skip", "null")

Rule = Literal["same_skip_null", "two_levels"]


@dataclasses.dataclass(frozen=True)
class Operation:
  """What an edge may compute; channels stay as they are.

  Attributes:
    name: as in files.
    type: one of `TYPES`.
    kernel: height and width of its window; 0 for skip and null.
  """

  name: str
  type: str
  kernel: int

  @property
  def level(self) -> int:
    """Where its type stands in `TYPES`."""
    return TYPES.index(self.type)


OPERATIONS = (
  Operation("conv_5x5", "conv", 5),
  Operation("conv_3x3", "conv", 3),
  Operation("conv_1x1", "conv", 1),
  Operation("sep_conv_5x5", "sep_conv", 5),
  Operation("sep_conv_3x3", "sep_conv", 3),
  Operation("dil_conv_5x5", "dil_conv", 5),
  Operation("dil_conv_3x3", "dil_conv", 3),
  Operation("max_pool_5x5", "pool", 5),
  Operation("max_pool_3x3", "pool", 3),
  Operation("avg_pool_5x5", "pool", 5),
  Operation("avg_pool_3x3", "pool", 3),
  Operation("skip", "skip", 0),
  Operation("null", "null", 0),
)
NAMES = tuple(operation.name for operation in OPERATIONS)
SKIP, NULL = NAMES.index("skip"), NAMES.index("null")


def _may_become(old: Operation, new: Operation) -> bool:
  """The rule of two levels: no earlier type, and no larger kernel."""
  if new.type in ("skip", "null"):
    return True
  return new.level >= old.level and new.kernel <= old.kernel


def transitions(rule: Rule) -> np.ndarray:
  """What each operation may become.

  A rule says nothing of prices: null may become a skip, which costs something.
  `cell_prices` sees to it that no cell gets dearer.

  Args:
    rule: `same_skip_null`, of NAT (NeurIPS 2019, arXiv 1910.14488): what it is, a skip,
      or null. `two_levels`, of NAT++: any later type (convolution, separable, dilated
      separable, pool, skip or null) whose kernel is no larger.

  Returns:
    bool (operations, operations): old, then new.
  """
  if rule == "same_skip_null":
    may = np.eye(len(OPERATIONS), dtype=bool)
    may[:, [SKIP, NULL]] = True
    return may
  return np.array([[_may_become(old, new) for new in OPERATIONS] for old in OPERATIONS])
