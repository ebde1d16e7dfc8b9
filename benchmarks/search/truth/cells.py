"""NK landscapes over the edges of cells: made-up truth that costs nothing to ask.

As `landscapes`, but the genes are the live edges of two cells, and the K genes that an
edge's contribution depends on as well are its neighbours in the graph: first the other
live edges into the same node, then those into the node where it begins. Edges that
compute nothing contribute 0.5, the mean. So equal networks have equal values, whatever
stands on their dead edges. These are no networks: they show what a policy can learn.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from neural_epitome.models.cell_operations import OPERATIONS
from neural_epitome.models.cells import Cell, Cells

_NONE = len(OPERATIONS)


@dataclasses.dataclass(frozen=True)
class CellLandscape:
  """A value of every pair of cells, in [0, 1].

  Attributes:
    neighbours: K.
    seed: of the contributions.
    noise: standard deviation of what is told about the truth, drawn anew each time.
  """

  neighbours: int
  seed: int = 0
  noise: float = 0.0

  @functools.cached_property
  def _contributions(self) -> np.ndarray:
    """By kind of cell, own operation, and those of the neighbours or none."""
    random = np.random.default_rng((self.seed, self.neighbours, 7))
    others = (_NONE + 1,) * self.neighbours
    return random.random((2, len(OPERATIONS), *others))

  @functools.cached_property
  def _noise(self) -> np.random.Generator:
    return np.random.default_rng((self.seed, 8))

  def _of_cell(self, cell: Cell, kind: int) -> float:
    live = cell.live
    total = 0.5 * (len(cell.edges) - len(live))
    for number, edge in enumerate(live):
      beside = [
        other.operation
        for index, other in enumerate(live)
        if index != number and other.target == edge.target
      ]
      before = [other.operation for other in live if other.target == edge.source]
      context = [*beside, *before, *(_NONE,) * self.neighbours][: self.neighbours]
      total += float(self._contributions[(kind, edge.operation, *context)])
    return total

  def truth(self, archs: Sequence[Cells]) -> list[float]:
    """The values of networks."""
    return [
      sum(self._of_cell(cell, kind) for kind, cell in enumerate(cells.both))
      / sum(len(cell.edges) for cell in cells.both)
      for cells in archs
    ]

  def told(self, archs: Sequence[Cells]) -> list[float]:
    """What a strategy is told of them: the truth, and noise."""
    values = np.asarray(self.truth(archs))
    if self.noise:
      values = values + self.noise * self._noise.standard_normal(len(values))
    return values.tolist()
