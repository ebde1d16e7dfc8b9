"""What a table is, as a judge of strategies."""

import dataclasses

import numpy as np

from neural_epitome.search.tabular import Tabular
from neural_epitome.spaces.table_space import TableSpace


@dataclasses.dataclass(frozen=True)
class Truth:
  """A table that strategies are judged by.

  Attributes:
    name: in the results.
    judge: see there.
    tested: the measurement, of which more is better, by which what was found is
      compared once more; the one that strategies are told where there is no other.
  """

  name: str
  judge: Tabular
  tested: str


def at_median_price(space: TableSpace, told: str) -> Tabular:
  """The judge whose budget half of the table's networks meet."""
  rows = sorted({*space.table.rows.values()})
  budget = float(np.median(space.table.measured[space.price][rows]))
  return Tabular(space, told, budget)
