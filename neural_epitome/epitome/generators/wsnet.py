"""WSNet (ICML 2018, arXiv 1711.10067): filters as overlapping windows, set by hand.

The baseline that Neural Epitome Search compares itself with. Filters are windows
`spacing` apart along one condensed filter, whose channels repeat `repetition` times;
written S#C# in the paper's tables. Two forms:

- A 1-D kernel (L, M, N), the paper's: windows of L taps along a condensed filter of
  (L*, M / C), which folds (see `integral`).
- Any other, (*window, Cin, Cout): each filter is flattened, taps first and channels
  fastest, into prod(window) Cin / C numbers, and those are the windows, along a
  condensed vector. So neighbouring filters share weights a few channels apart, and
  kernels of one tap, which the paper's form cannot share, are covered.

Either way L* = L + floor((N - 1) S), with L the length of a window.
"""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.epitome import folding, integral
from neural_epitome.epitome.convolution import explicit_padding
from neural_epitome.epitome.generators.base import (
  Array,
  Cost,
  GeneratorSpec,
  Initializer,
  Rule,
  Shape,
  Tensors,
  at_most,
)
from neural_epitome.epitome.generators.dense import Dense
from neural_epitome.epitome.geometry import Application, KernelUse
from neural_epitome.errors import UserError


@dataclasses.dataclass(frozen=True)
class WSNet(GeneratorSpec):
  """Overlapping windows of a condensed filter.

  Attributes:
    spacing: S, cells between the starts of neighbouring filters. A fraction spreads
      them as evenly as cells allow, filter n starting at floor(n S), and does not
      fold.
    repetition: C, times the condensed filter's channels repeat.
  """

  kind: ClassVar[str] = "wsnet"

  spacing: float
  repetition: int = 1

  def check(self, shape: Shape) -> None:
    """Raises UserError unless channels divide and filters differ in their starts."""
    divides = self.repetition >= 1 and shape[-2] % self.repetition == 0
    if not divides or not 0 < self.spacing <= _window(shape, self.repetition):
      raise UserError(
        f"WSNet(spacing={self.spacing}, repetition={self.repetition}) cannot generate "
        f"a kernel of shape {list(shape)}: `repetition` must divide the input "
        "channels, and `spacing` be above 0 and at most the length of a window."
      )

  def starts(self, filters: int) -> np.ndarray:
    """The first cell of every filter."""
    # A fraction that was meant to hit a cell does, whatever its last digit.
    return np.floor(np.arange(filters) * self.spacing + 1e-6).astype(np.int32)

  def tensors(self, shape: Shape) -> dict[str, Shape]:
    """One tensor, `condensed`, (L*, M / C) of a 1-D kernel, (L*,) of any other."""
    cells = _window(shape, self.repetition) + int(self.starts(shape[-1])[-1])
    is_1d = len(shape) == 3
    return {"condensed": (cells, shape[1] // self.repetition) if is_1d else (cells,)}

  def init(
    self, key: Array, shape: Shape, offsets: Tensors, initializer: Initializer
  ) -> dict[str, Array]:
    """Entries of kernels drawn in full, so with the kernel's fan-in."""
    del offsets
    condensed = self.tensors(shape)["condensed"]
    count = math.prod(condensed)
    keys = jax.random.split(key, -(-count // math.prod(shape)))
    drawn = jnp.concatenate([initializer(k, shape).reshape(-1) for k in keys])
    return {"condensed": drawn[:count].reshape(condensed)}

  def generate(self, tensors: Tensors, offsets: Tensors, shape: Shape) -> Array:
    """W[l, m, n] = condensed[floor(n S) + l, m mod (M / C)], or flattened."""
    del offsets
    condensed, length = tensors["condensed"], _window(shape, self.repetition)

    # Slices: several times faster than a gather of single cells, forward and back.
    def window(start: Array) -> Array:
      return jax.lax.dynamic_slice_in_dim(condensed, start, length)

    kernel = jax.vmap(window, out_axes=-1)(jnp.asarray(self.starts(shape[-1])))
    narrow = kernel.reshape(*shape[:-2], -1, shape[-1])
    return jnp.concatenate([narrow] * self.repetition, axis=-2)

  def fold(
    self,
    x: Array,
    tensors: Tensors,
    offsets: Tensors,
    shape: Shape,
    application: Application,
  ) -> Array | None:
    """Wraps the repeated channels, then product and integral map; 1-D only."""
    del offsets
    if not self._folds(shape, application.groups) or application.dilation != (1,):
      return None
    length, channels, filters = shape
    [padding] = explicit_padding(
      x.shape[1:-1],
      (length,),
      application.strides,
      application.dilation,
      application.padding,
    )
    return integral.convolve(
      folding.wrap(x, None, channels // self.repetition),
      tensors["condensed"].astype(x.dtype),
      length=length,
      spacing=int(self.spacing),
      filters=filters,
      strides=application.strides[0],
      padding=padding,
    )

  def _folds(self, shape: Shape, groups: int) -> bool:
    return len(shape) == 3 and groups == 1 and self.spacing == int(self.spacing)

  def cost(self, use: KernelUse, folded: bool = False) -> Cost:
    """Folded: T L* M / C multiply-adds, T (L* + N) and the wrap's additions.

    T counts every input position: with a stride the product map is computed where
    no output needs it.
    """
    dense = super().cost(use)
    if not folded or not self._folds(use.shape, use.groups):
      return dense
    _, channels, filters = use.shape
    taps, narrow = self.tensors(use.shape)["condensed"]
    sums = taps * use.input_positions + filters * use.positions
    return dataclasses.replace(
      dense,
      madds=taps * narrow * use.input_positions,
      adds=sums + (channels - narrow) * use.input_positions,
    )


@dataclasses.dataclass(frozen=True)
class WSNetRule(Rule):
  """Spacing, and repetition where spacing alone does not reach the size.

  Attributes:
    repetition: C of every kernel whose channels it divides; None for the fewest
      repetitions at which neighbouring filters start `closest` cells apart or more.
    closest: see there; in 1-D, where spacings are whole so that layers fold, 1.
  """

  kind: ClassVar[str] = "wsnet"

  repetition: int | None = None
  closest: float = 0.5

  def at(self, use: KernelUse, stored: int, below: float = 0.01) -> GeneratorSpec:
    """See `Rule.at`."""
    del below
    if stored >= use.size:
      return Dense()
    found = [
      generator
      for repetition in self._repetitions(use.shape)
      if (generator := self._spaced(use.shape, stored, repetition)) is not None
    ]
    if not found:
      fewest = self.smallest(use)
      raise self.refuse(use, stored, f"windows at their closest take {fewest:,}")
    if len(use.shape) == 3:
      return min(found, key=lambda g: abs(g.stored(use.shape) - stored))
    # With fewer repetitions a filter has more weights of its own.
    return next((g for g in found if g.spacing >= self.closest), found[-1])

  def smallest(self, use: KernelUse) -> int:
    """See `Rule.smallest`."""
    apart = 1.0 if len(use.shape) == 3 else 1.0 / max(1, use.shape[-1] - 1)
    return min(
      WSNet(apart, repetition).stored(use.shape)
      for repetition in self._repetitions(use.shape)
    )

  def _repetitions(self, shape: Shape) -> list[int]:
    channels = shape[-2]
    if self.repetition is None:
      return [c for c in range(1, channels + 1) if channels % c == 0]
    return [self.repetition if channels % self.repetition == 0 else 1]

  def _spaced(self, shape: Shape, stored: int, repetition: int) -> WSNet | None:
    """The generator of this repetition nearest to `stored`, if one is small enough."""
    length, filters = _window(shape, repetition), shape[-1]
    if len(shape) == 3:
      narrow = shape[1] // repetition
      exact = (stored / narrow - length) / max(1, filters - 1)
      options = [WSNet(s, repetition) for s in (int(exact), int(exact) + 1)]
      options = [g for g in options if 1 <= g.spacing <= length]
    elif filters == 1 or stored <= length:
      return None
    else:
      spacing = min(float(length), (stored - length) / (filters - 1))
      options = [WSNet(spacing, repetition)]
    options = [g for g in options if g.stored(shape) <= at_most(stored)]
    return min(options, key=lambda g: abs(g.stored(shape) - stored), default=None)


def _window(shape: Shape, repetition: int) -> int:
  """Cells of a filter along the condensed one."""
  if len(shape) == 3:
    return shape[0]
  return math.prod(shape[:-1]) // repetition
