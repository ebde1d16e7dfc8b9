"""A choice as people look at it: a table, and bars side by side."""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Bar:
  """A part of a place: bars of one place stand on each other.

  Attributes:
    height: in the unit of `Description.unit`.
    caption: short; written at the bar.
    shade: opacity, in (0, 1].
  """

  height: float
  caption: str
  shade: float = 1.0


@dataclasses.dataclass(frozen=True)
class Place:
  """One place of a network, as a block or a cell.

  Attributes:
    bars: from the lowest; none for a place that is left out.
    most: height of what it was chosen from, which is outlined; 0 outlines nothing.
  """

  bars: tuple[Bar, ...]
  most: float = 0.0


@dataclasses.dataclass(frozen=True)
class Description:
  """A choice in words and bars.

  Attributes:
    headers: of the table.
    rows: of it; the first columns are text.
    places: from input to output.
    place: what a place is called.
    unit: of the bars' height.
    title: of the drawing.
  """

  headers: tuple[str, ...]
  rows: Sequence[Sequence[str]]
  places: tuple[Place, ...]
  place: str
  unit: str
  title: str

  def table(self) -> str:
    """The rows, aligned for a terminal; columns of numbers to the right."""
    from tabulate import tabulate  # not of the core, whose command line reads this room

    columns = list(zip(*self.rows, strict=True))
    is_number = [all(not c or c[0].isdigit() for c in column) for column in columns]
    align = ["right" if is_right else "left" for is_right in is_number]
    return tabulate(self.rows, self.headers, colalign=align, disable_numparse=True)
