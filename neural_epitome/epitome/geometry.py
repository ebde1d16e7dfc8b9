"""What an architecture asks of one kernel: its shape and how it is applied."""

import dataclasses
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from neural_epitome.epitome import convolution


@dataclasses.dataclass(frozen=True)
class Application:
  """How a layer applies a kernel: a convolution's geometry, or a dense layer's ().

  Attributes:
    strides: one a spatial axis.
    padding: (low, high) zeros a spatial axis, or "SAME" or "VALID".
    dilation: one a spatial axis.
    groups: feature groups.
    streams: whether what reads the output takes a `stream.Stream`.
  """

  strides: tuple[int, ...] = ()
  padding: convolution.Padding = ()
  dilation: tuple[int, ...] = ()
  groups: int = 1
  streams: bool = False

  @classmethod
  def of_convolution(
    cls,
    window: Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: convolution.Padding | None = None,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
  ) -> "Application":
    """A convolution's; see `layers.EpitomeConv` for what may be left out or short."""

    def one_each(value: int | Sequence[int]) -> tuple[int, ...]:
      return (value,) * len(window) if isinstance(value, int) else tuple(value)

    if padding is None:
      pairs = zip(window, one_each(dilation), strict=True)
      padding = tuple(((k - 1) // 2 * d,) * 2 for k, d in pairs)
    elif not isinstance(padding, str):
      padding = tuple((int(low), int(high)) for low, high in padding)
    return cls(one_each(strides), padding, one_each(dilation), groups)

  def __call__(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Applies `kernel` to `x`, channels last; both of the same dtype."""
    if kernel.ndim == 2:
      return jnp.dot(x, kernel)
    return convolution.convolve(
      x,
      kernel,
      strides=self.strides,
      padding=self.padding,
      dilation=self.dilation,
      groups=self.groups,
    )


@dataclasses.dataclass(frozen=True)
class KernelUse:
  """One kernel of an architecture and the convolution it stands in.

  Attributes:
    path: parameter path, slash separated, ending in `kernel`.
    shape: kernel shape, spatial axes first: (*window, Cin / groups, Cout).
      A dense layer's is (Cin, Cout).
    groups: feature groups; the input channels of a depthwise convolution.
    strides: one a spatial axis; () for a dense layer.
    input_size: spatial size of the layer's input; () for a dense layer.
    output_size: spatial size of the layer's output; () for a dense layer.
  """

  path: str
  shape: tuple[int, ...]
  groups: int = 1
  strides: tuple[int, ...] = ()
  input_size: tuple[int, ...] = ()
  output_size: tuple[int, ...] = ()

  @property
  def window(self) -> tuple[int, ...]:
    """Spatial extent of the kernel."""
    return self.shape[:-2]

  @property
  def size(self) -> int:
    """Number of weights in the full kernel."""
    return math.prod(self.shape)

  @property
  def positions(self) -> int:
    """Output positions of one example: what a weight is multiplied with."""
    return math.prod(self.output_size)

  @property
  def input_positions(self) -> int:
    """Input positions of one example."""
    return math.prod(self.input_size)

  @property
  def madds(self) -> int:
    """Multiply-adds of one example with the kernel built in full."""
    return self.size * self.positions

  @property
  def is_depthwise(self) -> bool:
    """Whether each output channel reads a single input channel."""
    return self.groups > 1 and self.shape[-2] == 1
