"""One convolution, spelled for the backend and the shape at hand.

Everything here equals `jax.lax.conv_general_dilated` (float32: to rounding); only
the speed differs. XLA's CPU backend runs a depthwise convolution far below what
the hardware can do, and a 1x1 convolution is a matrix product wherever it runs.
"""

import contextlib
import contextvars
import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax

from neural_epitome.epitome import varying

Padding = str | Sequence[tuple[int, int]]

_LAYOUTS = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC")}

# How a depthwise convolution is spelled: for the `backend` that traces it; for each
# `platform`, chosen when a program is lowered; or as a convolution whatever runs it, a
# 1x1 convolution too: a runtime of its own then lays all out alike, and fuses into it
# what comes after (see `scalable`).
Spelling = Literal["backend", "platform", "convolution"]
_spelling: contextvars.ContextVar[Spelling] = contextvars.ContextVar(
  "spelling", default="backend"
)
_least: contextvars.ContextVar[int] = contextvars.ContextVar("least", default=1)


@contextlib.contextmanager
def spelled(spelling: Spelling, least: int = 1) -> Iterator[None]:
  """Everything traced inside, for inference elsewhere, is spelled so.

  A function that `jax.jit` has traced before keeps its spelling.

  Args:
    spelling: of convolutions.
    least: see `least_channels`.
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


def explicit_padding(
  size: Sequence[int],
  window: Sequence[int],
  strides: Sequence[int],
  dilation: Sequence[int],
  padding: Padding,
) -> tuple[tuple[int, int], ...]:
  """The (low, high) zero padding of each spatial axis.

  Args:
    size: spatial size of the input.
    window: spatial size of the kernel.
    strides: step of the window.
    dilation: distance between the kernel's taps.
    padding: such pairs already, or "SAME" or "VALID".
  """
  if not isinstance(padding, str):
    return tuple((int(low), int(high)) for low, high in padding)
  extent = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
  return tuple(lax.padtype_to_pads(size, extent, strides, padding))


def convolve(
  x: jax.Array,
  kernel: jax.Array,
  *,
  strides: Sequence[int],
  padding: Padding,
  dilation: Sequence[int],
  groups: int,
) -> jax.Array:
  """Convolves `x` with `kernel`, channels last.

  Args:
    x: (batch, *space, Cin), with one or two spatial axes.
    kernel: (*window, Cin / groups, Cout), of the dtype of `x`.
    strides: one a spatial axis.
    padding: (low, high) zeros a spatial axis, or "SAME" or "VALID".
    dilation: distance between the kernel's taps, one a spatial axis.
    groups: feature groups; Cin and Cout are multiples of it.

  Returns:
    (batch, *output space, Cout), of the dtype of `x`.
  """
  window, size = kernel.shape[:-2], x.shape[1:-1]
  strides, dilation = tuple(strides), tuple(dilation)
  padding = explicit_padding(size, window, strides, dilation, padding)
  spelling = _spelling.get()
  is_pointwise = math.prod(window) == 1 and groups == 1 and not any(map(any, padding))
  if is_pointwise and spelling != "convolution":
    steps = (slice(None), *(slice(None, None, s) for s in strides))
    x, kernel = x[steps], kernel.reshape(kernel.shape[-2:])
    # As one matrix: in the gradient of a product of more axes XLA would write the
    # activations down transposed first.
    y = jnp.dot(x.reshape(-1, x.shape[-1]), kernel)
    return y.reshape(*x.shape[:-1], y.shape[-1])

  def standard(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(
      x,
      kernel,
      strides,
      padding,
      rhs_dilation=dilation,
      dimension_numbers=_LAYOUTS[len(window)],
      feature_group_count=groups,
    )

  def shifted(x: jax.Array, kernel: jax.Array) -> jax.Array:
    # Both of one type under shard_map: the gradient rule then fits either.
    x, kernel = varying.alike(x, kernel)
    return _depthwise(x, kernel, strides, padding, dilation)

  is_depthwise = groups == x.shape[-1] == kernel.shape[-1] > 1
  if not is_depthwise or spelling == "convolution":
    return standard(x, kernel)
  if spelling == "platform":
    return lax.platform_dependent(x, kernel, cpu=shifted, default=standard)
  return (shifted if jax.default_backend() == "cpu" else standard)(x, kernel)


def scalable(y: jax.Array) -> jax.Array:
  """`y`, (batch, *space, channels), ready for a scale and a bias a channel.

  Runtimes fuse these, and the activation after them, into a convolution that comes
  before, and run them one by one after anything else. So spelled as a `convolution`,
  `y` goes through a depthwise one by ones, which takes them in; else it is left alone.
  """
  if _spelling.get() != "convolution" or y.ndim < 3:
    return y
  window, channels = (1,) * (y.ndim - 2), y.shape[-1]
  return lax.conv_general_dilated(
    y,
    jnp.ones((*window, 1, channels), y.dtype),
    window,
    "VALID",
    dimension_numbers=_LAYOUTS[len(window)],
    feature_group_count=channels,
  )


# The depthwise convolution as one multiply-add of whole arrays for each tap of the
# window: XLA fuses the taps into one loop over memory. Reverse mode only.


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _depthwise(x, kernel, strides, padding, dilation):
  return _depthwise_forward(x, kernel, strides, padding, dilation)[0]


def _depthwise_forward(x, kernel, strides, padding, dilation):
  window = kernel.shape[:-2]
  padded = _pad(x, padding)
  size = [
    (n - (k - 1) * d - 1) // s + 1
    for n, k, d, s in zip(padded.shape[1:-1], window, dilation, strides, strict=True)
  ]
  wide = _accumulator(x.dtype)
  total = sum(
    _tap(padded, tap, size, strides, dilation).astype(wide)
    * _weights(kernel, tap).astype(wide)
    for tap in itertools.product(*map(range, window))
  )
  return total.astype(x.dtype), (padded, kernel)


def _depthwise_backward(strides, padding, dilation, kept, gradient):
  padded, kernel = kept
  size = [
    n - low - high for n, (low, high) in zip(padded.shape[1:-1], padding, strict=True)
  ]
  return (
    _input_gradient(gradient, kernel, size, strides, padding, dilation),
    _kernel_gradient(gradient, padded, kernel, strides, dilation),
  )


_depthwise.defvjp(_depthwise_forward, _depthwise_backward)


def _input_gradient(gradient, kernel, size, strides, padding, dilation):
  """Input position v = r + stride * m takes tap t from output m + shift(r, t)."""
  window = kernel.shape[:-2]
  counts = [-(-n // s) for n, s in zip(size, strides, strict=True)]
  # For each axis and each phase r of the stride: the (tap, shift) pairs that reach it.
  phases = [
    [
      [(t, (r + low - t * d) // s) for t in range(k) if (r + low - t * d) % s == 0]
      for r in range(s)
    ]
    for k, s, (low, _), d in zip(window, strides, padding, dilation, strict=True)
  ]
  shifts = [[shift for phase in axis for _, shift in phase] for axis in phases]
  margins = [
    (max(0, -min(reached)), max(0, max(reached) + count - outputs))
    for reached, count, outputs in zip(
      shifts, counts, gradient.shape[1:-1], strict=True
    )
  ]
  gradient_padded = _pad(gradient, margins)
  ones = (1,) * len(window)
  wide = _accumulator(gradient.dtype)

  def assemble(chosen):
    axis = len(chosen)
    if axis < len(window):
      parts = [assemble((*chosen, phase)) for phase in phases[axis]]
      if len(parts) == 1:
        return parts[0]
      joined = jnp.stack(parts, axis + 2)
      shape = joined.shape
      merged = shape[axis + 1] * shape[axis + 2]
      return joined.reshape(*shape[: axis + 1], merged, *shape[axis + 3 :])
    terms = []
    for pairs in itertools.product(*chosen):
      start = [s + low for (_, s), (low, _) in zip(pairs, margins, strict=True)]
      part = _tap(gradient_padded, start, counts, ones, ones).astype(wide)
      tap = tuple(t for t, _ in pairs)
      terms.append(part * _weights(kernel, tap).astype(wide))
    if terms:
      return sum(terms)
    return jnp.zeros((gradient.shape[0], *counts, gradient.shape[-1]), wide)

  steps = (slice(None), *map(slice, size))
  return assemble(())[steps].astype(gradient.dtype)


def _kernel_gradient(gradient, padded, kernel, strides, dilation):
  """Sums over batch and space of input times gradient, for each tap.

  The batch is cut into up to eight parts whose products are added in one fused
  loop; a matrix product with ones sums the rest. A plain reduction would make XLA
  write a copy of the input for each tap first. The taps are walked in a `lax.map`:
  one kernel to compile a layer, and it runs faster than nine of them.
  """
  batch, *size, channels = gradient.shape
  window = kernel.shape[:-2]
  rows = batch // max(n for n in range(1, 9) if batch % n == 0)
  extent = [(n - 1) * s + 1 for n, s in zip(size, strides, strict=True)]
  steps = (slice(None), *(slice(None, None, s) for s in strides))
  wide = _accumulator(gradient.dtype)
  ones = jnp.ones((1, rows * math.prod(size)), wide)

  def one_tap(start):
    def part(i):
      corner = (jnp.int32(i), *start, jnp.int32(0))
      met = lax.dynamic_slice(padded, corner, (rows, *extent, channels))[steps]
      return met.astype(wide) * gradient[i : i + rows].astype(wide)

    total = sum(part(i) for i in range(0, batch, rows))
    return jnp.dot(ones, total.reshape(-1, channels))

  corners = [
    [t * d for t, d in zip(tap, dilation, strict=True)]
    for tap in itertools.product(*map(range, window))
  ]
  sums = lax.map(one_tap, jnp.asarray(corners, jnp.int32))
  return sums.reshape(kernel.shape).astype(kernel.dtype)


def _accumulator(dtype):
  """The type sums are kept in: float32 for the half-precision types."""
  return jnp.float32 if jnp.finfo(dtype).bits < 32 else dtype


def _pad(x, padding):
  """Zeros around the spatial axes; a negative width cuts."""
  widths = [(0, 0, 0), *((low, high, 0) for low, high in padding), (0, 0, 0)]
  return lax.pad(x, jnp.zeros((), x.dtype), widths)


def _tap(x, tap, size, strides, dilation):
  """The part of `x` that one tap meets: (batch, *size, channels)."""
  starts = [t * d for t, d in zip(tap, dilation, strict=True)]
  steps = [
    slice(a, a + (n - 1) * s + 1, s)
    for a, n, s in zip(starts, size, strides, strict=True)
  ]
  return x[(slice(None), *steps)]


def _weights(kernel, tap):
  """A tap's weights, one a channel, shaped to multiply an activation."""
  return kernel[tap].reshape((1,) * (kernel.ndim - 1) + (-1,))
