"""What an architecture asks of one kernel: its shape and how it is applied."""

import dataclasses
import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from neural_epitome.epitome import convolution
from neural_epitome.epitome import padding as paddings
from neural_epitome.errors import UserError


@dataclasses.dataclass(frozen=True)
class Application:
  """How a layer applies its kernel: as a convolution, or as a matrix product.

  Attributes:
    strides: one a spatial axis; () for a dense layer, as is every attribute here that
      has one number for each spatial axis.
    padding: from `padding.canonical`.
    kernel_dilation: distance between the kernel's taps, one a spatial axis.
    feature_group_count: groups of channels that are convolved apart.
    streams: whether the layer may return a `stream.Stream`.
    input_dilation: distance between the inputs, one a spatial axis; () for 1.
    precision: of products, see `jax.lax.Precision`.
    function: called in place of `jax.lax.conv_general_dilated` or
      `jax.lax.dot_general`, with the arguments that Flax's layers give it.
  """

  strides: tuple[int, ...] = ()
  padding: paddings.CanonicalPadding = ()
  kernel_dilation: tuple[int, ...] = ()
  feature_group_count: int = 1
  streams: bool = False
  input_dilation: tuple[int, ...] = ()
  precision: Any = None
  function: Callable[..., jax.Array] | None = None

  @classmethod
  def of_convolution(
    cls,
    kernel_size: int | Sequence[int],
    strides: int | Sequence[int] | None = 1,
    padding: paddings.Padding = "SAME",
    kernel_dilation: int | Sequence[int] | None = 1,
    feature_group_count: int = 1,
    input_dilation: int | Sequence[int] | None = 1,
    precision: Any = None,
    function: Callable[..., jax.Array] | None = None,
  ) -> "Application":
    """A convolution from the arguments of `flax.linen.Conv`.

    None stands for 1, and a number alone for that number on every spatial axis.

    Raises:
      UserError: if a sequence does not have one number for each spatial axis.
    """
    sizes = kernel_sizes(kernel_size)

    def one_each(name: str, value: Any) -> tuple[int, ...]:
      value = 1 if value is None else value
      each = (value,) * len(sizes) if _is_whole(value) else tuple(value)
      if len(each) != len(sizes) or not all(_is_whole(v) and v >= 1 for v in each):
        raise UserError(
          f"{name}={value!r} must be a whole number of at least 1, or {len(sizes)} of "
          f"them, one for each axis of kernel_size={sizes}."
        )
      return tuple(map(int, each))

    dilations = one_each("kernel_dilation", kernel_dilation)
    return cls(
      strides=one_each("strides", strides),
      padding=paddings.canonical(padding, sizes, dilations),
      kernel_dilation=dilations,
      feature_group_count=feature_group_count,
      input_dilation=one_each("input_dilation", input_dilation),
      precision=precision,
      function=function,
    )

  def __call__(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Applies `kernel` to `x`, channels last; both of the same dtype.

    Args:
      x: (batch, *space, Cin) for a convolution, (..., Cin) for a dense layer.
      kernel: (*kernel_size, Cin / feature_group_count, Cout).
    """
    if kernel.ndim == 2:
      if self.function is None:
        return jnp.dot(x, kernel, precision=self.precision)
      axes = (((x.ndim - 1,), (0,)), ((), ()))
      return self.function(x, kernel, axes, precision=self.precision)
    return convolution.convolve(
      x,
      kernel,
      strides=self.strides,
      padding=self.padding,
      kernel_dilation=self.kernel_dilation,
      feature_group_count=self.feature_group_count,
      input_dilation=self.input_dilation,
      precision=self.precision,
      function=self.function,
    )


def kernel_sizes(kernel_size: int | Sequence[int]) -> tuple[int, ...]:
  """One number for each spatial axis; a number alone is a 1-D convolution's.

  Raises:
    UserError: if there is no axis, or a size is not a whole number of at least 1.
  """
  value: Any = kernel_size
  sizes = (value,) if _is_whole(value) else tuple(value)
  if not sizes or not all(_is_whole(size) and size >= 1 for size in sizes):
    raise UserError(
      f"kernel_size={kernel_size!r} must be one whole number of at least 1 for each "
      "spatial axis."
    )
  return tuple(map(int, sizes))


def kernel_shape(
  sizes: tuple[int, ...], inputs: int, features: int, feature_group_count: int
) -> tuple[int, ...]:
  """Shape of a convolution's kernel, (*sizes, inputs / groups, features).

  Raises:
    UserError: if the groups do not divide the channels.
  """
  groups = feature_group_count
  if groups < 1 or inputs % groups or features % groups:
    raise UserError(
      f"feature_group_count={groups} must divide both the {inputs} input channels and "
      f"the {features} features."
    )
  return (*sizes, inputs // groups, features)


def with_one_batch_axis(
  call: Callable[[Any], Any], x: Any, sizes: tuple[int, ...]
) -> Any:
  """Calls a convolution on inputs with no batch axis, or several.

  Args:
    call: takes (batch, *space, Cin) and returns (batch, *output space, Cout).
    x: (*batch axes, *space, Cin); a `stream.Stream` has one batch axis.
    sizes: of the kernel, one a spatial axis.

  Returns:
    (*batch axes, *output space, Cout).

  Raises:
    UserError: if `x` has too few axes.
  """
  batch = len(x.shape) - len(sizes) - 1
  if batch == 1:
    return call(x)
  if batch < 0:
    raise UserError(
      f"An input of shape {tuple(x.shape)} has too few axes for a convolution with "
      f"kernel_size={sizes}, which reads (batch, *space, channels)."
    )
  y = call(x.reshape(math.prod(x.shape[:batch]), *x.shape[batch:]))
  return y.reshape(*x.shape[:batch], *y.shape[1:])


def _is_whole(value: Any) -> bool:
  return isinstance(value, numbers.Integral) and not isinstance(value, bool)


@dataclasses.dataclass(frozen=True)
class KernelUse:
  """One kernel of an architecture and the convolution it stands in.

  Attributes:
    path: parameter path, slash separated, ending in `kernel`.
    shape: kernel shape, spatial axes first: (*kernel_size, Cin / feature_group_count,
      Cout). A dense layer's is (Cin, Cout).
    feature_group_count: groups of channels that are convolved apart; the number of
      input channels in a depthwise convolution.
    strides: one a spatial axis; () for a dense layer.
    input_size: spatial size of the layer's input; of a dense layer's, the axes
      between batch and channels, () for one vector an example.
    output_size: spatial size of the layer's output, likewise.
  """

  path: str
  shape: tuple[int, ...]
  feature_group_count: int = 1
  strides: tuple[int, ...] = ()
  input_size: tuple[int, ...] = ()
  output_size: tuple[int, ...] = ()

  @property
  def kernel_size(self) -> tuple[int, ...]:
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
    return self.feature_group_count > 1 and self.shape[-2] == 1
