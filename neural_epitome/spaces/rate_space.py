"""The rates of an architecture's kernels, each one of a few, as a space to search."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import ArchEncoding


@functools.partial(
  jax.tree_util.register_dataclass, data_fields=["member"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True, eq=False)
class Rates(ArchEncoding):
  """One choice: the generator of every kernel, by its index.

  Attributes:
    member: (kernels,) index into each kernel's generators, the largest first.
  """

  member: Any


@dataclasses.dataclass(frozen=True)
class RateSpace:
  """The space of the kernels' rates: each kernel has one of a few generators.

  Attributes:
    positions: path of each kernel.
    counts: number of generators of each.
  """

  positions: tuple[str, ...]
  counts: tuple[int, ...]

  @property
  def places(self) -> int:
    """Number of kernels: each has one gene."""
    return len(self.positions)

  @property
  def choices(self) -> dict[str, list[list[int]]]:
    """The indices of every kernel's generators."""
    return {"member": [list(range(count)) for count in self.counts]}

  @property
  def largest(self) -> Rates:
    """Every kernel in full."""
    return Rates(np.zeros(len(self.counts), np.int32))

  @property
  def smallest(self) -> Rates:
    """Every kernel at its highest rate."""
    return Rates(np.array(self.counts, np.int32) - 1)

  def of(self, members: Sequence[int] | np.ndarray) -> Rates:
    """The choice of these indices."""
    return Rates(np.array(members, np.int32))

  def smaller(self, arch: Rates, block: int) -> list[Rates]:
    """The next higher rate of one kernel, if there is one."""
    if arch.member[block] + 1 >= self.counts[block]:
      return []
    member = arch.member.copy()
    member[block] += 1
    return [Rates(member)]

  def sample(self, seed: int, *stream: int, count: int) -> list[Rates]:
    """Choices in which the rate of every kernel is drawn evenly."""
    random = np.random.default_rng((seed, *stream))
    drawn = random.integers(0, self.counts, (count, len(self.counts)))
    return [self.of(row) for row in drawn]

  def canonical(self, arch: Rates) -> Rates:
    """The choice itself: no two choices are the same plan."""
    return arch

  def from_json(self, data: Any, where: str = "allocation") -> Rates:
    """Reads what `ArchEncoding.to_json` wrote.

    Raises:
      UserError: if it is no choice of this space.
    """
    members = data.get("member") if isinstance(data, Mapping) else None
    value = np.array(members if isinstance(members, list) else [])
    is_fit = value.shape == (len(self.counts),) and value.dtype.kind == "i"
    if not is_fit or np.any((value < 0) | (value >= self.counts)):
      raise UserError(
        f"{where} is no choice of rates for {len(self.counts)} kernels of "
        f"{max(self.counts, default=0)} rates at most."
      )
    return self.of(value)
