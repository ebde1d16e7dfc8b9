"""WSNet (ICML 2018, arXiv 1711.10067): filters as overlapping windows, set by hand.

The baseline that Neural Epitome Search compares itself with. Filters are windows
`spacing` apart along one condensed filter, whose channels repeat `repetition` times;
`density` times as many filters as there are outputs, mixed by a stored matrix, where it
is above one. Written S#C#D# in the paper's tables. Two forms:

- A 1-D kernel (L, M, N), the paper's: windows of L taps along a condensed filter of
  (L*, M / C), which folds (see `integral`).
- Any other, (*kernel_size, Cin, Cout): each filter is flattened, taps first, channels
  fastest, into prod(kernel_size) Cin / C numbers, and those are the windows, along a
  condensed vector. So neighbouring filters share weights a few channels apart, and
  kernels of one tap, which the paper's form cannot share, are covered.

Either way L* = L + floor((D N - 1) S), with L the length of a window.
"""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.domains import Count, Positive
from neural_epitome.epitome import folding, integral
from neural_epitome.epitome import padding as paddings
from neural_epitome.epitome.generators.base import (
  Array,
  Cost,
  GeneratorSpec,
  Initializer,
  Shape,
  Tensors,
)
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
    density: D, filters for every output; above one they are projected to the outputs
      by a stored matrix (D N, N).
  """

  kind: ClassVar[str] = "wsnet"

  spacing: Positive
  repetition: Count = 1
  density: Count = 1

  def check(self, shape: Shape) -> None:
    """Raises UserError unless channels divide and filters differ in their starts."""
    divides = self.repetition >= 1 and shape[-2] % self.repetition == 0
    divides = divides and self.density >= 1
    if not divides or not 0 < self.spacing <= window_length(shape, self.repetition):
      raise UserError(
        f"WSNet(spacing={self.spacing}, repetition={self.repetition}, density="
        f"{self.density}) cannot generate a kernel of shape {list(shape)}: it needs a "
        "`repetition` that divides the input channels, a `spacing` above 0 and at most "
        "the length of a window, and a `density` of at least 1."
      )

  def starts(self, filters: int) -> np.ndarray:
    """The first cell of every filter."""
    # A fraction that was meant to hit a cell does, whatever its last digit.
    return np.floor(np.arange(filters) * self.spacing + 1e-6).astype(np.int32)

  def tensors(self, shape: Shape) -> dict[str, Shape]:
    """`condensed`, (L*, M / C) of a 1-D kernel, (L*,) of any other; `projection`."""
    filters = self.density * shape[-1]
    cells = window_length(shape, self.repetition) + int(self.starts(filters)[-1])
    is_1d = len(shape) == 3
    narrow = (cells, shape[1] // self.repetition) if is_1d else (cells,)
    if self.density == 1:
      return {"condensed": narrow}
    return {"condensed": narrow, "projection": (filters, shape[-1])}

  def init(
    self, key: Array, shape: Shape, offsets: Tensors, initializer: Initializer
  ) -> dict[str, Array]:
    """Entries of kernels drawn in full, so with the kernel's fan-in."""
    del offsets
    sizes = self.tensors(shape)
    condensed = sizes["condensed"]
    count = math.prod(condensed)
    keys = jax.random.split(key, -(-count // math.prod(shape)))
    drawn = jnp.concatenate([initializer(k, shape).reshape(-1) for k in keys])
    tensors = {"condensed": drawn[:count].reshape(condensed)}
    if mixed := sizes.get("projection"):
      # Mixes as many filters as it has rows, so it keeps their variance.
      key_of_mix = jax.random.fold_in(key, 1)
      tensors["projection"] = jax.random.normal(key_of_mix, mixed) / math.sqrt(mixed[0])
    return tensors

  def generate(self, tensors: Tensors, offsets: Tensors, shape: Shape) -> Array:
    """W[l, m, n] = condensed[floor(n S) + l, m mod (M / C)], flattened, projected."""
    del offsets
    condensed, length = tensors["condensed"], window_length(shape, self.repetition)

    # Slices: several times faster than a gather of single cells, forward and back.
    def window(start: Array) -> Array:
      return jax.lax.dynamic_slice_in_dim(condensed, start, length)

    starts = self.starts(self.density * shape[-1])
    kernel = jax.vmap(window, out_axes=-1)(jnp.asarray(starts))
    if "projection" in tensors:
      kernel = kernel @ tensors["projection"]
    narrow = kernel.reshape(*shape[:-2], -1, shape[-1])
    return jnp.concatenate([narrow] * self.repetition, axis=-2)

  def fit(self, kernel: np.ndarray, importance: np.ndarray) -> None:
    """None: see `GeneratorSpec.fit`. Raises UserError for a density above 1."""
    del kernel, importance
    if self.density > 1:
      raise UserError(
        f"WSNet(density={self.density}) is not fitted to kernels; use a density of 1."
      )

  def fold(
    self,
    x: Array,
    tensors: Tensors,
    offsets: Tensors,
    shape: Shape,
    application: Application,
  ) -> Array | None:
    """Wraps the repeated channels, product and integral map, projects; 1-D only."""
    del offsets
    groups, dilations = application.feature_group_count, application.kernel_dilation
    if not self._folds(shape, groups) or dilations != (1,):
      return None
    if application.function is not None or application.input_dilation not in ((), (1,)):
      return None
    length, channels, filters = shape
    x, [padding] = paddings.resolve(
      x,
      application.padding,
      kernel_size=(length,),
      strides=application.strides,
      kernel_dilation=dilations,
      input_dilation=(1,),
    )
    y = integral.convolve(
      folding.wrap(x, None, channels // self.repetition),
      tensors["condensed"].astype(x.dtype),
      length=length,
      spacing=int(self.spacing),
      filters=self.density * filters,
      strides=application.strides[0],
      padding=padding,
      precision=application.precision,
    )
    if "projection" not in tensors:
      return y
    projection = tensors["projection"].astype(y.dtype)
    return jnp.matmul(y, projection, precision=application.precision)

  def _folds(self, shape: Shape, groups: int) -> bool:
    return len(shape) == 3 and groups == 1 and self.spacing == int(self.spacing)

  def cost(self, use: KernelUse, folded: bool = False) -> Cost:
    """Folded: T L* M / C multiply-adds, T (L* + D N) and the wrap's additions.

    The projection multiplies D N N numbers at every output. T counts every input
    position: with a stride the product map is computed where no output needs it.
    """
    dense = super().cost(use)
    if not folded or not self._folds(use.shape, use.feature_group_count):
      return dense
    _, channels, filters = use.shape
    sizes = self.tensors(use.shape)
    taps, narrow = sizes["condensed"]
    mixing = math.prod(sizes.get("projection", (0,)))
    sums = taps * use.input_positions + self.density * filters * use.positions
    return dataclasses.replace(
      dense,
      madds=taps * narrow * use.input_positions + mixing * use.positions,
      adds=sums + (channels - narrow) * use.input_positions,
    )


def window_length(shape: Shape, repetition: int) -> int:
  """Cells of a filter along the condensed one."""
  if len(shape) == 3:
    return shape[0]
  return math.prod(shape[:-1]) // repetition
