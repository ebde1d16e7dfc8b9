"""What a strategy needs to know of a space, whatever is chosen in it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

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
  """A space of which parts are trained: that of a supernet."""

  def part(self, choices: Mapping[str, Sequence[Sequence[int]]]) -> "Divisible":
    """The same space with each gene restricted to some of its values.

    Args:
      choices: the values that remain, in the form that `choices` returns.
    """
    ...
