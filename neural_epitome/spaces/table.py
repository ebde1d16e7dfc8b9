"""Tables of choices that were measured one by one: what is best in them is known."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from neural_epitome import codec
from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import ArchEncoding


@functools.partial(
  jax.tree_util.register_dataclass, data_fields=["options"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True, eq=False)
class Choice(ArchEncoding):
  """A choice of a table.

  Attributes:
    options: (genes,) int32, of each gene the index of its option.
  """

  options: Any


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
  """Choices and what was measured of each.

  Attributes:
    genes: by the name of each gene, the names of its options.
    encodings: (rows, genes) whole numbers, indices of options; no row twice.
    measured: by the name of a measurement, its value (rows,) of every choice.
    canonical: (rows,) indices of rows. Encodings of one network have one row that
      stands for all of them. None where no network is encoded twice.
  """

  genes: Mapping[str, tuple[str, ...]]
  encodings: np.ndarray
  measured: Mapping[str, np.ndarray]
  canonical: np.ndarray | None = None

  @classmethod
  def of_rows(
    cls,
    rows: Sequence[Mapping[str, Any]],
    genes: Mapping[str, Sequence[Any]],
    measured: Sequence[str],
  ) -> "Table":
    """The table of rows by column name, as `csv.DictReader` returns them.

    Args:
      rows: a choice each.
      genes: by the name of a gene's column, what may stand there.
      measured: columns of numbers.

    Raises:
      UserError: if a value is no option or no number, or a choice stands there twice.
    """
    names = {gene: tuple(map(str, options)) for gene, options in genes.items()}
    encodings, values, seen = [], [], set()
    for number, row in enumerate(rows):
      try:
        key = tuple(names[gene].index(str(row[gene])) for gene in names)
        values.append([float(row[name]) for name in measured])
      except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"Row {number} of the table: {error}.") from None
      if key in seen:
        raise UserError(f"Row {number} of the table is a choice that another row is.")
      seen.add(key)
      encodings.append(key)
    columns = np.array(values).reshape(-1, len(measured)).T
    return cls(names, np.array(encodings), dict(zip(measured, columns, strict=True)))

  def column(self, name: str, where: str) -> np.ndarray:
    """A measurement of every choice, float64 (rows,).

    Args:
      name: of the measurement.
      where: the argument that names it, for an error.

    Raises:
      UserError: if there is none of this name, the table has no row, or one of its
        values is not finite.
    """
    if name not in self.measured:
      nearest = codec.nearest(name, self.measured)
      raise UserError(f"{where}={name!r} is no measurement of the table.{nearest}")
    if not len(self.encodings):
      raise UserError("The table has no row; give it a choice at least.")
    values = np.asarray(self.measured[name], np.float64)
    for row in np.flatnonzero(~np.isfinite(values))[:1]:
      raise UserError(
        f"Row {row} of the table has {name}={values[row]}; leave out what was not "
        "measured."
      )
    return values

  @functools.cached_property
  def rows(self) -> dict[tuple[int, ...], int]:
    """By encoding, the index of the row that stands for it."""
    own = range(len(self.encodings)) if self.canonical is None else self.canonical
    keys = map(tuple, self.encodings.tolist())
    return dict(zip(keys, map(int, own), strict=True))

  @functools.cached_property
  def choices(self) -> list[Choice]:
    """Of every row, its choice; they are kept, so that each is hashed once."""
    return [Choice(row) for row in self.encodings.astype(np.int32)]

  def row(self, arch: Choice) -> int:
    """The index of the row that stands for a choice.

    A combination that the table lacks is taken for the one that differs in fewest
    genes; of several, for the first.
    """
    key = arch.key[0]
    row = self.rows.get(key)
    return self._nearest(key) if row is None else row

  @functools.cached_property
  def _nearest(self) -> Callable[[tuple[int, ...]], int]:
    @functools.cache
    def nearest(key: tuple[int, ...]) -> int:
      distance = np.sum(self.encodings != np.array(key), axis=1)
      return self.rows[tuple(self.encodings[np.argmin(distance)].tolist())]

    return nearest
