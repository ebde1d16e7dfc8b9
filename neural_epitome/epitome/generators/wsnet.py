"""WSNet (ICML 2018, arXiv 1711.10067): filters as overlapping windows, set by hand.

The 1-D baseline that Neural Epitome Search compares itself with. Filters are
windows `spacing` apart along one condensed filter, whose channels repeat
`repetition` times; written S#C# in the paper's tables.
"""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp

from neural_epitome.epitome import folding, integral
from neural_epitome.epitome.convolution import explicit_padding
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
  """Overlapping windows of a condensed 1-D filter.

  Attributes:
    spacing: S, taps between the starts of neighbouring filters.
    repetition: C, times the condensed filter's channels repeat.
  """

  kind: ClassVar[str] = "wsnet"

  spacing: int
  repetition: int = 1

  def check(self, shape: Shape) -> None:
    """Raises UserError unless the kernel is 1-D and its channels divide."""
    if len(shape) != 3 or shape[1] % self.repetition or self.spacing < 1:
      raise UserError(
        f"WSNet(spacing={self.spacing}, repetition={self.repetition}) cannot generate "
        f"a kernel of shape {list(shape)}: it needs one spatial axis and input "
        "channels that `repetition` divides."
      )

  def tensors(self, shape: Shape) -> dict[str, Shape]:
    """One tensor, `condensed`, (L + (N - 1) S, M / C)."""
    length, channels, filters = shape
    taps = length + (filters - 1) * self.spacing
    return {"condensed": (taps, channels // self.repetition)}

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
    """W[l, m, n] = condensed[n S + l, m mod (M / C)]."""
    del offsets
    length, _, filters = shape
    starts = self.spacing * jnp.arange(filters)
    taps = jnp.arange(length)[:, None] + starts[None, :]
    kernel = jnp.moveaxis(tensors["condensed"][taps], -1, 1)
    return jnp.tile(kernel, (1, self.repetition, 1))

  def fold(
    self,
    x: Array,
    tensors: Tensors,
    offsets: Tensors,
    shape: Shape,
    application: Application,
  ) -> Array | None:
    """Wraps the repeated channels, then product and integral map."""
    del offsets
    if application.groups > 1 or application.dilation != (1,):
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
      spacing=self.spacing,
      filters=filters,
      strides=application.strides[0],
      padding=padding,
    )

  def cost(self, use: KernelUse, folded: bool = False) -> Cost:
    """Folded: T L* M / C multiply-adds, T (L* + N) and the wrap's additions.

    T counts every input position: with a stride the product map is computed where
    no output needs it.
    """
    dense = super().cost(use)
    if not folded or use.groups > 1:
      return dense
    _, channels, filters = use.shape
    taps, narrow = self.tensors(use.shape)["condensed"]
    sums = taps * use.input_positions + filters * use.positions
    return dataclasses.replace(
      dense,
      madds=taps * narrow * use.input_positions,
      adds=sums + (channels - narrow) * use.input_positions,
    )
