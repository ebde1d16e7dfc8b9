"""What a strategy needs to know of a space, whatever is chosen in it."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from neural_epitome.spaces.arch import ArchEncoding


class Space(Protocol):
  """Choices that are made of genes at a few places.

  `spaces.chain_space` has the blocks of a chain, `spaces.rate_space` the rates of a
  given architecture's kernels, `spaces.table_space` whatever a table knows.
  """

  @property
  def places(self) -> int:
    """Number of places."""
    ...

  @property
  def choices(self) -> dict[str, list[list[int]]]:
    """By field, the values that each gene may have, in the order of the flat field."""
    ...

  @property
  def largest(self) -> Any:
    """The choice of which every other one is a part."""
    ...

  @property
  def smallest(self) -> Any:
    """The cheapest choice."""
    ...

  def smaller(self, arch: Any, block: int) -> list[Any]:
    """The choices that are one step of one gene at a place smaller."""
    ...

  def sample(self, seed: int, *stream: int, count: int) -> list[Any]:
    """Choices drawn evenly; the same for the same arguments."""
    ...

  def canonical(self, arch: Any) -> Any:
    """The one of all equal choices that stands for them."""
    ...

  def from_json(self, data: Any, where: str = "architecture") -> ArchEncoding:
    """Reads what `ArchEncoding.to_json` wrote; raises UserError if it is no choice."""
    ...


class Divisible(Space, Protocol):
  """A space of which parts are trained: that of a supernet.

  Of every pool a choice uses one option or, as a cell of branches, several.
  """

  @property
  def pools(self) -> list[list[int]]:
    """The options of every gene, or of every cell that has several at once."""
    ...

  @property
  def needed(self) -> list[list[int]]:
    """Of every pool the options without which a part may have no choice."""
    ...

  def used(self, arch: Any) -> list[list[int]]:
    """The options of every pool that a choice uses."""
    ...

  def restricted(self, pools: Sequence[Sequence[int]]) -> "Divisible":
    """The same space with fewer options of each pool."""
    ...

  def part(self, choices: Mapping[str, Sequence[Sequence[int]]]) -> "Divisible":
    """The same space with each gene restricted to some of its values.

    Args:
      choices: the values that remain, in the form that `choices` returns.
    """
    ...


class GenePools(abc.ABC):
  """Pools of a space whose choices have one value of every gene."""

  @property
  @abc.abstractmethod
  def choices(self) -> dict[str, list[list[int]]]:
    """See `Space.choices`."""

  @abc.abstractmethod
  def part(self, choices: Mapping[str, Sequence[Sequence[int]]]) -> Any:
    """See `Divisible.part`."""

  @property
  def pools(self) -> list[list[int]]:
    """The values of every gene, those of the first field first."""
    return [list(gene) for genes in self.choices.values() for gene in genes]

  @property
  @abc.abstractmethod
  def smallest(self) -> Any:
    """See `Space.smallest`."""

  @property
  def needed(self) -> list[list[int]]:
    """Those of the smallest choice, so that every part has one within a budget."""
    return self.used(self.smallest)

  def used(self, arch: Any) -> list[list[int]]:
    """The one value of every gene."""
    rows = [np.ravel(getattr(arch, field)).tolist() for field in self.choices]
    return [[value] for row in rows for value in row]

  def restricted(self, pools: Sequence[Sequence[int]]) -> Any:
    """The part with these values."""
    left = iter(pools)
    by_field = {
      name: [next(left) for _ in genes] for name, genes in self.choices.items()
    }
    return self.part(by_field)
