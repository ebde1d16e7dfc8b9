"""Epitome shapes from a number of stored numbers."""

import dataclasses
import functools
import math
from collections.abc import Iterable
from typing import ClassVar, Literal

from neural_epitome.domains import Whole
from neural_epitome.epitome.generators.base import GeneratorSpec, Rule, at_most
from neural_epitome.epitome.generators.dense import Dense
from neural_epitome.epitome.generators.epitome import Axis, Epitome
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.epitome.sampling import Shape

Side = Literal["wide", "narrow", "input", "output", "both"]


@dataclasses.dataclass(frozen=True)
class EpitomeRule(Rule):
  """Epitomes that are short on one channel axis, or on both.

  The authors of Neural Epitome Search halve the wide side of each 1x1 kernel: the
  output of an expansion, the input of a projection. An extent need not divide the
  kernel's: the last replica is cut. The other axis is shortened by a few channels
  where whole channels of one alone miss the size, and as far as it takes where one
  channel is still too many.

  Attributes:
    side: which channel axis the epitome is short on; `wide` is the longer one (the
      output where they are equal), `narrow` the other one, so that what is wrapped or
      replicated when folded is small, but the input of a dense layer: no batch norm
      tells copies of its outputs apart, and classes would share their logits; `both`
      shares the rate between them.
    routing: see `Epitome`.
    sampled: see `Epitome`.
    margin: cells by which the epitome is larger than the kernel on each spatial
      axis longer than one; its channels shrink further to keep the size.
    scaled: see `Epitome`.
  """

  kind: ClassVar[str] = "epitome"

  side: Side = "wide"
  routing: Literal["tile", "factorised", "blockwise"] = "factorised"
  sampled: tuple[Axis, ...] = ("spatial", "input", "output")
  margin: Whole = 0
  scaled: bool = False

  def generator(self, shape: Shape) -> Epitome:
    """The generator whose epitome has this shape."""
    return Epitome(shape, self.routing, self.sampled, self.scaled)

  def at(self, use: KernelUse, stored: int, below: float = 0.01) -> GeneratorSpec:
    """See `Rule.at`; a kernel that is allowed its own size stays dense."""
    if stored >= use.size:
      return Dense()
    best = None
    for extent in self._long_extents(use.shape, stored):
      nearest = self._nearest(use.shape, extent, stored)
      if nearest is None:
        continue
      if nearest[0] >= (1.0 - below) * stored:
        return nearest[1]
      if best is None or nearest[0] > best[0]:
        best = nearest
    if best is None:
      fewest = self.smallest(use)
      raise self.refuse(
        use, stored, f"{self.routing} routing takes {fewest:,} at least"
      )
    return best[1]

  def smallest(self, use: KernelUse) -> int:
    """See `Rule.smallest`."""
    return _smallest(self, use.shape)

  def _spatial(self, shape: Shape) -> Shape:
    return tuple(size + self.margin if size > 1 else size for size in shape[:-2])

  def _is_input_short(self, shape: Shape) -> bool:
    is_input_longer = shape[-2] > shape[-1]
    if self.side == "narrow" and len(shape) == 2:
      return True
    return self.side == "input" or self.side == (
      "wide" if is_input_longer else "narrow"
    )

  def _long_extents(self, shape: Shape, stored: int) -> Iterable[int]:
    """Channels of the epitome's long axis, the preferred numbers first."""
    if self.side != "both":
      return range(shape[-1 if self._is_input_short(shape) else -2], 0, -1)
    rate = math.prod(self._spatial(shape)) * shape[-2] * shape[-1] / max(1, stored)
    even = shape[-2] / math.sqrt(max(1.0, rate))
    return sorted(range(1, shape[-2] + 1), key=lambda rows: abs(math.log(rows / even)))

  def _nearest(
    self, shape: Shape, long: int, stored: int
  ) -> tuple[int, Epitome] | None:
    """The epitome with this long extent whose stored numbers come nearest."""
    spatial, is_input_short = self._spatial(shape), self._is_input_short(shape)
    step = long * math.prod(spatial)
    limit = shape[-2 if is_input_short else -1]

    def sized(short: int) -> tuple[int, Epitome]:
      channels = (short, long) if is_input_short else (long, short)
      generator = self.generator((*spatial, *channels))
      return generator.stored(shape), generator

    short = min(limit, stored // step)
    while short > 0 and (excess := sized(short)[0] - stored) > 0:
      # Offsets only grow as channels go, so this never skips one that fits.
      short -= -(-excess // step)
    around = [sized(n) for n in (short, short + 1) if 1 <= n <= limit]
    around = [candidate for candidate in around if candidate[0] <= at_most(stored)]
    return min(around, key=lambda candidate: abs(candidate[0] - stored), default=None)


@functools.cache
def _smallest(rule: EpitomeRule, shape: Shape) -> int:
  spatial = rule._spatial(shape)
  return min(
    rule.generator((*spatial, rows, columns)).stored(shape)
    for rows in _scale(shape[-2])
    for columns in _scale(shape[-1])
  )


def _scale(largest: int) -> list[int]:
  """Integers up to `largest`, an eighth apart."""
  values, value = [], 1
  while value < largest:
    values.append(value)
    value += max(1, value // 8)
  return [*values, largest]
