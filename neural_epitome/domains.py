"""Which numbers a field of a configuration may be, declared beside its type.

  momentum: Decay = 0.9
  extremes: Annotated[float, Domain(least=0, most=0.5)] = 0.05

`codec.decode` checks a value against its field's domain, so a configuration that was
read holds no number that would blow up, or quietly do nothing, hours later. Numbers
are finite in every domain.
"""

import dataclasses
import math
from typing import Annotated, Any

from neural_epitome.errors import UserError


class OutOfDomainError(UserError):
  """A number of the right type that its field may not be."""


@dataclasses.dataclass(frozen=True)
class Domain:
  """An interval, and single numbers outside it.

  Attributes:
    least: the smallest number.
    most: the largest.
    above: what all are larger than.
    below: what all are smaller than.
    also: numbers beside the interval.
  """

  least: float = -math.inf
  most: float = math.inf
  above: float = -math.inf
  below: float = math.inf
  also: tuple[float, ...] = ()

  def __contains__(self, value: float) -> bool:
    """Whether a number is in it."""
    if not math.isfinite(value):
      return False
    is_inside = self.least <= value <= self.most and self.above < value < self.below
    return is_inside or value in self.also

  def __str__(self) -> str:
    """As in 'must be at least 0 and below 1'."""
    ends = (
      ("at least", self.least),
      ("above", self.above),
      ("at most", self.most),
      ("below", self.below),
    )
    parts = [f"{words} {end:.10g}" for words, end in ends if math.isfinite(end)]
    if math.isfinite(self.least) and math.isfinite(self.most):
      parts = [f"in [{self.least:.10g}, {self.most:.10g}]"]
    return " or ".join([" and ".join(parts) or "finite", *map(str, self.also)])

  def __repr__(self) -> str:
    """Short: it stands in annotations, which errors show."""
    return "Domain"

  def check(self, value: Any, where: str) -> None:
    """Raises OutOfDomainError, which names the field, the value and the domain."""
    if value not in self:
      raise OutOfDomainError(f"{where}={value!r} must be {self}.")


# Larger ones are mistakes, and no array has more numbers along an axis.
_MOST = 2**31 - 1

Finite = Annotated[float, Domain()]
Amount = Annotated[float, Domain(least=0)]
Positive = Annotated[float, Domain(above=0)]
# Of something: both ends are allowed.
Share = Annotated[float, Domain(least=0, most=1)]
# What is left out at random, or kept of a moving average: all would be nothing.
Decay = Annotated[float, Domain(least=0, below=1)]
# Multiplies a number of channels, blocks or weights.
Factor = Annotated[float, Domain(above=0, most=1000)]
Rate = Annotated[float, Domain(least=1, most=1e9)]

Whole = Annotated[int, Domain(least=0, most=_MOST)]
Count = Annotated[int, Domain(least=1, most=_MOST)]
Stride = Annotated[int, Domain(least=1, most=1024)]
# Of bytes, parameters or multiply-adds.
Budget = Annotated[int, Domain(least=1, most=10**15)]
Bits = Annotated[int, Domain(least=1, most=8, also=(32,))]
# Those of one tensor: float16 too.
TensorBits = Annotated[int, Domain(least=1, most=8, also=(16, 32))]
Seed = Annotated[int, Domain(least=0, most=2**32 - 1)]
