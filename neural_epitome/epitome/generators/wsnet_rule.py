"""WSNet's settings from a number of stored numbers."""

import dataclasses
from typing import ClassVar

from neural_epitome.domains import Count, Positive
from neural_epitome.epitome.generators.base import GeneratorSpec, Rule, Shape, at_most
from neural_epitome.epitome.generators.dense import Dense
from neural_epitome.epitome.generators.wsnet import WSNet, window_length
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError


@dataclasses.dataclass(frozen=True)
class WSNetRule(Rule):
  """Spacing, and repetition where spacing alone does not reach the size.

  Attributes:
    repetition: C of every kernel whose channels it divides; None for the fewest
      repetitions at which neighbouring filters start `closest` cells apart or more.
    closest: cells between neighbouring filters below which channels repeat more often.
      In 1-D it is 1 in any case, since layers fold where spacings are whole.
    density: D of every kernel that can be stored with its projection; 1 of others.
  """

  kind: ClassVar[str] = "wsnet"

  repetition: Count | None = None
  closest: Positive = 0.5
  density: Count = 1

  def __post_init__(self):
    if self.density < 1:
      raise UserError(f"planner.rule.density={self.density} must be at least 1.")

  def at(self, use: KernelUse, stored: int, below: float = 0.01) -> GeneratorSpec:
    """See `Rule.at`."""
    del below
    if stored >= use.size:
      return Dense()
    for density in self._densities():
      candidates = [
        generator
        for repetition in self._repetitions(use.shape)
        if (generator := self._spaced(use.shape, stored, repetition, density))
      ]
      if candidates:
        break
    else:
      fewest = self.smallest(use)
      raise self.refuse(use, stored, f"windows at their closest take {fewest:,}")
    if len(use.shape) == 3:
      return min(candidates, key=lambda g: abs(g.stored(use.shape) - stored))
    # With fewer repetitions a filter has more weights of its own.
    return next((g for g in candidates if g.spacing >= self.closest), candidates[-1])

  def smallest(self, use: KernelUse) -> int:
    """See `Rule.smallest`."""
    is_1d, sizes = len(use.shape) == 3, []
    for density in self._densities():
      apart = 1.0 if is_1d else 1.0 / max(1, density * use.shape[-1] - 1)
      for repetition in self._repetitions(use.shape):
        sizes.append(WSNet(apart, repetition, density).stored(use.shape))
    return min(sizes)

  def _densities(self) -> list[int]:
    return [self.density, 1] if self.density > 1 else [1]

  def _repetitions(self, shape: Shape) -> list[int]:
    channels = shape[-2]
    if self.repetition is None:
      return [c for c in range(1, channels + 1) if channels % c == 0]
    return [self.repetition if channels % self.repetition == 0 else 1]

  def _spaced(
    self, shape: Shape, stored: int, repetition: int, density: int
  ) -> WSNet | None:
    """The generator nearest to `stored`, if one is small enough."""
    length, filters = window_length(shape, repetition), density * shape[-1]
    condensed = stored - (filters * shape[-1] if density > 1 else 0)
    if len(shape) == 3:
      narrow = shape[1] // repetition
      exact = (condensed / narrow - length) / max(1, filters - 1)
      spacings = [s for s in (int(exact), int(exact) + 1) if 1 <= s <= length]
    elif filters == 1 or condensed <= length:
      return None
    else:
      spacings = [min(float(length), (condensed - length) / (filters - 1))]
    options = [WSNet(s, repetition, density) for s in spacings]
    options = [g for g in options if g.stored(shape) <= at_most(stored)]
    return min(options, key=lambda g: abs(g.stored(shape) - stored), default=None)
