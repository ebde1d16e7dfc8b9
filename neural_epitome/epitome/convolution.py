"""A convolution, written in the operations that run fastest where it is to run.

Everything here equals `jax.lax.conv_general_dilated` (float32: to rounding); only
the speed differs. XLA's CPU backend runs a depthwise convolution far below what
the hardware can do, and a 1x1 convolution is a matrix product wherever it runs.
"""

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax

from neural_epitome.epitome import depthwise, kernel_gradient, varying
from neural_epitome.epitome import padding as paddings
from neural_epitome.epitome.padding import CanonicalPadding

# In which operations depthwise and 1x1 convolutions are written:
# - "backend": the fastest for the backend of the process that traces the program;
# - "platform": the fastest for each platform, chosen when the program is lowered;
# - "convolution": XLA's convolution, whatever runs it. A runtime outside JAX then lays
#   all of them out alike, and fuses what comes after into them (see `scalable`).
Spelling = Literal["backend", "platform", "convolution"]
_spelling: contextvars.ContextVar[Spelling] = contextvars.ContextVar(
  "spelling", default="backend"
)
_least: contextvars.ContextVar[int] = contextvars.ContextVar("least", default=1)


@contextlib.contextmanager
def spelled(spelling: Spelling, least: int = 1) -> Iterator[None]:
  """Chooses how convolutions are written in the programs traced inside the block.

  It is meant for programs that are exported to run elsewhere. A function that `jax.jit`
  has traced before the block keeps the spelling of that time.

  Args:
    spelling: "backend" for the form that is fast on the backend of this process,
      "platform" for one form for each platform that the program may be lowered to, or
      "convolution" for XLA's convolution everywhere.
    least: what `least_channels` returns inside the block.
  """
  tokens = _spelling.set(spelling), _least.set(least)
  try:
    yield
  finally:
    _spelling.reset(tokens[0])
    _least.reset(tokens[1])


def least_channels() -> int:
  """Channels that an activation within a network should have at least.

  A runtime that lays channels out in blocks leaves that layout for fewer than a block.
  """
  return _least.get()


def convolve(
  x: jax.Array,
  kernel: jax.Array,
  *,
  strides: Sequence[int],
  padding: CanonicalPadding,
  kernel_dilation: Sequence[int],
  feature_group_count: int,
  input_dilation: Sequence[int] | None = None,
  precision: Any = None,
  function: Callable[..., jax.Array] | None = None,
) -> jax.Array:
  """Convolves `x` with `kernel`, channels last.

  Args:
    x: (batch, *space, Cin), with at least one spatial axis.
    kernel: (*kernel_size, Cin / feature_group_count, Cout), of the dtype of `x`.
    strides: one a spatial axis.
    padding: from `padding.canonical`.
    kernel_dilation: distance between the kernel's taps, one a spatial axis.
    feature_group_count: Cin and Cout are multiples of it; each group of output channels
      reads its own group of input channels.
    input_dilation: distance between the inputs, with zeros in between, one a spatial
      axis; None for 1.
    precision: of products, see `jax.lax.Precision`.
    function: called in place of `jax.lax.conv_general_dilated`, with its arguments.

  Returns:
    (batch, *output space, Cout), of the dtype of `x`.
  """
  kernel_size = kernel.shape[:-2]
  strides, kernel_dilation = tuple(strides), tuple(kernel_dilation)
  input_dilation = tuple(input_dilation or (1,) * len(kernel_size))
  x, padding = paddings.resolve(
    x,
    padding,
    kernel_size=kernel_size,
    strides=strides,
    kernel_dilation=kernel_dilation,
    input_dilation=input_dilation,
  )

  def standard(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return (function or lax.conv_general_dilated)(
      x,
      kernel,
      strides,
      padding,
      lhs_dilation=input_dilation,
      rhs_dilation=kernel_dilation,
      dimension_numbers=_channels_last(x.ndim),
      feature_group_count=feature_group_count,
      precision=precision,
    )

  def shifted(x: jax.Array, kernel: jax.Array) -> jax.Array:
    # Both of one type under shard_map: the gradient rule then fits either.
    x, kernel = varying.alike(x, kernel)
    return depthwise.convolve(x, kernel, strides, padding, kernel_dilation)

  spelling = _spelling.get()
  is_dilated = any(d != 1 for d in input_dilation)
  if function is not None or spelling == "convolution" or is_dilated:
    return standard(x, kernel)
  is_padded = any(map(any, padding))
  if math.prod(kernel_size) == 1 and feature_group_count == 1 and not is_padded:
    steps = (slice(None), *(slice(None, None, s) for s in strides))
    x, kernel = x[steps], kernel.reshape(kernel.shape[-2:])
    # As one matrix: in the gradient of a product of more axes XLA would write the
    # activations down transposed first.
    y = jnp.dot(x.reshape(-1, x.shape[-1]), kernel, precision=precision)
    return y.reshape(*x.shape[:-1], y.shape[-1])
  if not feature_group_count == x.shape[-1] == kernel.shape[-1] > 1:
    is_cpu = spelling == "backend" and jax.default_backend() == "cpu"
    if not is_cpu or not kernel_gradient.pays(x):
      return standard(x, kernel)
    x, kernel = varying.alike(x, kernel)
    return kernel_gradient.convolve(standard, x, kernel)
  if spelling == "platform":
    return lax.platform_dependent(x, kernel, cpu=shifted, default=standard)
  return (shifted if jax.default_backend() == "cpu" else standard)(x, kernel)


def _channels_last(ndim: int) -> lax.ConvDimensionNumbers:
  """Of arrays of so many axes and kernels (*kernel_size, Cin, Cout)."""
  space = tuple(range(1, ndim - 1))
  kernel = (ndim - 1, ndim - 2, *range(ndim - 2))
  return lax.ConvDimensionNumbers((0, ndim - 1, *space), kernel, (0, ndim - 1, *space))


def scalable(y: jax.Array) -> jax.Array:
  """Makes an activation ready for a factor and a bias on each channel.

  Runtimes fuse these, and the activation function after them, into a convolution that
  comes before, and run them one by one after anything else. So where convolutions are
  written for such a runtime (`spelled("convolution")`), `y` goes through a depthwise
  1x1 convolution with ones, which takes them in; elsewhere it is returned as it is.

  Args:
    y: (batch, *space, channels).
  """
  if _spelling.get() != "convolution" or y.ndim < 3:
    return y
  kernel_size, channels = (1,) * (y.ndim - 2), y.shape[-1]
  return lax.conv_general_dilated(
    y,
    jnp.ones((*kernel_size, 1, channels), y.dtype),
    kernel_size,
    "VALID",
    dimension_numbers=_channels_last(y.ndim),
    feature_group_count=channels,
  )
