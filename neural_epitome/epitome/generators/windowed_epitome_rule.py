"""Windows of one ring for all kernels of a network."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

from neural_epitome.domains import Count
from neural_epitome.epitome.generators.base import GeneratorSpec, SharingRule
from neural_epitome.epitome.generators.windowed_epitome import WindowedEpitome
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError


@dataclasses.dataclass(frozen=True)
class WindowedEpitomeRule(SharingRule):
  """One ring for all kernels, read in windows.

  The size follows from its attributes, not from a rate: log2(length) / d bits a weight.

  Attributes:
    length: of the ring; longer keeps more, one bit a window for twice the length.
    taps: whether a window has all taps of one input, where the kernel has taps.
    inputs: of a window of a kernel without taps (and of each tap, without `taps`).
  """

  kind: ClassVar[str] = "windowed_epitome"
  is_fixed: ClassVar[bool] = True
  shared: ClassVar[Mapping[str, str]] = {"ring": "ring"}

  length: Count = 2048
  taps: bool = True
  inputs: Count = 8

  def of(self, use: KernelUse, length: int) -> WindowedEpitome:
    """The generator of a kernel on a ring of `length`."""
    taps, (*spatial, inputs) = math.prod(use.shape[:-2]), use.shape[:-1]
    if self.taps and taps > 1:
      return WindowedEpitome(length, (*spatial, 1))
    ones = (1,) * len(spatial)
    return WindowedEpitome(length, (*ones, min(self.inputs, inputs)))

  def together(
    self, uses: Sequence[KernelUse], stored: int
  ) -> dict[str, GeneratorSpec]:
    """See `SharingRule.together`; `stored` is not heeded, the size is fixed.

    Raises:
      UserError: if the ring is longer than the smallest kernel, naming it.
    """
    del stored
    for use in uses:
      if use.size < self.length:
        raise UserError(
          f"A ring of length={self.length} is longer than {use.path} "
          f"{list(use.shape)}, which has {use.size:,} weights: shorten it or keep the "
          "kernel dense (planner.keep)."
        )
    return {use.path: self.of(use, self.length) for use in uses}

  def smallest_together(self, uses: Sequence[KernelUse]) -> int:
    """See `SharingRule.smallest_together`."""
    generators = self.together(uses, 0)
    each = (
      g.stored(use.shape) - self.length for use in uses for g in [generators[use.path]]
    )
    return self.length + sum(each)

  def at(self, use: KernelUse, stored: int, below: float = 0.01) -> GeneratorSpec:
    """See `Rule.at`: a ring for this kernel alone."""
    del below
    return self.together([use], stored)[use.path]

  def smallest(self, use: KernelUse) -> int:
    """See `Rule.smallest`."""
    return self.smallest_together([use])
