"""A space that was measured choice by choice.

It is searched by any strategy, in no time, and what the strategy found is compared with
the best there is.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neural_epitome.errors import UserError
from neural_epitome.spaces.space import GenePools
from neural_epitome.spaces.table import Choice, Table


@dataclasses.dataclass(frozen=True, eq=False)
class TableSpace(GenePools):
  """The choices of a table, or those of them that some options make up.

  Attributes:
    table: what is known.
    price: the measurement that budgets are of. An option is smaller than another one
      if the choice with it has a lower price.
    only: of each gene the indices of the options that remain; () restricts nothing.
  """

  table: Table
  price: str
  only: tuple[tuple[int, ...], ...] = ()

  def __post_init__(self):
    """Raises UserError if the table has no such price of every choice."""
    self.table.column(self.price, "price")

  @property
  def places(self) -> int:
    """Number of genes."""
    return len(self.table.genes)

  @property
  def choices(self) -> dict[str, list[list[int]]]:
    """The options of every gene, by their indices, under the name of the field."""
    if self.only:
      return {"options": [list(gene) for gene in self.only]}
    return {"options": [list(range(len(o))) for o in self.table.genes.values()]}

  def part(self, choices: Mapping[str, Sequence[Sequence[int]]]) -> "TableSpace":
    """The same space with each gene restricted; see `space.Divisible`."""
    only = tuple(tuple(gene) for gene in choices["options"])
    return dataclasses.replace(self, only=only)

  def check(self) -> None:
    """Raises UserError if the table has no choice of these options."""
    if not self._rows.size:
      raise UserError("The table has no choice of the options that remain.")

  @functools.cached_property
  def _rows(self) -> np.ndarray:
    """Indices of the rows whose options all remain."""
    inside = np.ones(len(self.table.encodings), bool)
    for column, gene in zip(self.table.encodings.T, self.only, strict=False):
      inside &= np.isin(column, gene)
    return np.flatnonzero(inside)

  @functools.cached_property
  def _prices(self) -> list[float]:
    return self.table.measured[self.price].tolist()

  @functools.cached_property
  def largest(self) -> Choice:
    """The choice of the highest price."""
    return self._at(max(self._rows.tolist(), key=self._prices.__getitem__))

  @functools.cached_property
  def smallest(self) -> Choice:
    """The choice of the lowest price."""
    return self._at(min(self._rows.tolist(), key=self._prices.__getitem__))

  def _at(self, row: int) -> Choice:
    choice = self.table.choices[row]
    return self.table.choices[self.table.row(choice)]

  def measured(self, arch: Choice) -> dict[str, float]:
    """All that the table says of a choice, by name."""
    row = self.table.row(arch)
    return {name: float(column[row]) for name, column in self.table.measured.items()}

  def price_of(self, arch: Choice) -> float:
    """The price of a choice."""
    return self._prices[self.table.row(arch)]

  def smaller(self, arch: Choice, block: int) -> list[Choice]:
    """The choice with the next cheaper option of one gene, if there is one."""
    own, key = self.price_of(arch), arch.key[0]
    cheaper: dict[int, float] = {}
    for option in self.choices["options"][block]:
      row = self.table.rows.get((*key[:block], option, *key[block + 1 :]))
      if row is not None and self._prices[row] < own:
        cheaper[row] = self._prices[row]
    return [self._at(max(cheaper, key=cheaper.__getitem__))] if cheaper else []

  def sample(self, seed: int, *stream: int, count: int) -> list[Choice]:
    """Choices, every encoding as likely as any other."""
    random = np.random.default_rng((seed, *stream))
    return [self._at(row) for row in random.choice(self._rows, count)]

  def canonical(self, arch: Choice) -> Choice:
    """The choice that stands for all encodings of the same network."""
    return self.table.choices[self.table.row(arch)]

  def from_json(self, data: Any, where: str = "architecture") -> Choice:
    """Reads what `ArchEncoding.to_json` wrote.

    Raises:
      UserError: if it is no choice of the table.
    """
    options = data.get("options") if isinstance(data, Mapping) else None
    key = tuple(options) if isinstance(options, list) else ()
    if not all(isinstance(number, int) for number in key) or key not in self.table.rows:
      raise UserError(f"{where}={data!r} is no choice of the table.")
    return self.table.choices[self.table.rows[key]]
