"""The operations that NSE chooses among, in pools (Ci et al., arXiv 2011.10904).

An operation is known by its number in its pool, as published architectures are written.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from neural_epitome.models.block import Block, BlockShape
from neural_epitome.models.blocks import Branch


@dataclasses.dataclass(frozen=True)
class Operation:
  """One operation of a pool.

  Attributes:
    kernel_size: height and width.
    expansion: channels of the branch over its input's.
    branch: what it is made of.
  """

  kernel_size: int
  expansion: int
  branch: Branch

  def declare(self, inputs: int, features: int, stride: int) -> Block:
    """The branch of a cell with these channels and stride."""
    hidden, size = self.expansion * inputs, self.kernel_size
    return self.branch.declare(
      BlockShape(inputs, hidden, features, size, stride, is_residual=False)
    )

  def fits(self, inputs: int, features: int) -> bool:
    """Whether its groups divide these channels."""
    first, last = self.branch.feature_group_counts
    return not (inputs % first or inputs % last or features % last)


def _depthwise(sizes: Sequence[int], dilations: Sequence[int]) -> list[Operation]:
  return [
    Operation(size, expansion, Branch("depthwise", dilation))
    for size in sizes
    for expansion in (1, 3, 6)
    for dilation in (dilations if size == 3 else (1,))
  ]


_FACTORED = [Operation(k, t, Branch("factored")) for k in (5, 7) for t in (1, 2, 4)]
_MADDS = _depthwise((3, 5, 7, 9, 11), (1, 2, 3)) + _FACTORED
_GROUPED = [
  Operation(size, expansion, Branch("depthwise", feature_group_counts=groups))
  for size in (3, 5, 7, 9, 11)
  for expansion in (1, 3, 6)
  for groups in ((1, 2), (2, 1), (2, 2))
]
_GPU = [
  *_depthwise((3, 5, 7), (1,)),
  *(Operation(3, t, Branch("dense", count=count)) for count in (1, 2) for t in (1, 2)),
  *_FACTORED,
]
# `madds` has the 27 candidates of the first space, `grouped` the 72 of the second,
# which begin with them, `gpu` the 19 of the one that is searched for latency.
POOLS = {"madds": _MADDS, "grouped": _MADDS + _GROUPED, "gpu": _GPU}
Pool = Literal["madds", "grouped", "gpu"]
