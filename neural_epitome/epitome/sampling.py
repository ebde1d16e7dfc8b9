"""From an epitome to a kernel: pure gather and linear interpolation.

The kernel is cut into replicas of the epitome's channel extents, and replica r is
the epitome read from a fractional start index on every axis (Neural Epitome
Search, section 3; the multilinear reading of its sampler):

    W_r[i, j, m, n] = sum over the cells around (p + i, q + j, c + m, d + n) of E,
                      each weighted by its distance, one linear factor an axis.

Channel axes are circular, spatial axes end at their borders. Shapes are static;
the result is linear in the epitome and piecewise linear in the offsets.

Offsets come as a dictionary, one entry for each axis that is sampled at all:

| entry     | factorised       | blockwise                   |
|-----------|------------------|-----------------------------|
| `input`   | (R_in,)          | (R_in, R_out)               |
| `output`  | (R_out,)         | (R_in, R_out)               |
| `spatial` | (spatial axes,)  | (R_in, R_out, spatial axes) |

An absent axis starts at 0 everywhere, so `{}` tiles. R_in = ceil(Cin / Ci) and
R_out = ceil(Cout / Co) count replicas; ragged last replicas are cut.

Contiguous slices of a circularly extended array and one blend an axis are several
times faster than per-element gathers, on CPUs and accelerators alike.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from neural_epitome.epitome import varying

Array = jax.Array
# By axis, arrays of JAX; or of NumPy, where they are known when a program is made.
Offsets = Mapping[str, Any]
Shape = tuple[int, ...]


def replica_counts(shape: Shape, epitome_shape: Shape) -> tuple[int, int]:
  """Returns (R_in, R_out), the replicas along each channel axis."""
  return -(-shape[-2] // epitome_shape[-2]), -(-shape[-1] // epitome_shape[-1])


def is_blockwise(offsets: Offsets) -> bool:
  """Whether every block of the kernel has its own offsets."""
  ranks = {"input": 2, "output": 2, "spatial": 3}
  return any(value.ndim == ranks[axis] for axis, value in offsets.items())


def sample(epitome: Array, offsets: Offsets, shape: Shape) -> Array:
  """Generates a kernel from an epitome.

  Args:
    epitome: (*kernel_size', Ci, Co), kernel_size' >= kernel_size on each spatial axis,
      Ci <= Cin and Co <= Cout. No spatial axes for a dense layer, one for a 1-D
      convolution, two for a 2-D one.
    offsets: start indices in epitome cells, see the module's table; float.
    shape: the kernel's shape (*kernel_size, Cin, Cout).

  Returns:
    The kernel, of the epitome's dtype. Differentiable in `epitome` and, within a
    cell, in `offsets` (at an integer, the derivative to its right).
  """
  if is_blockwise(offsets):
    return _sample_blocks(epitome, offsets, shape)
  kernel = crop(epitome, offsets.get("spatial"), shape[:-2])
  kernel = repeat_shifted(kernel, offsets.get("input"), shape[-2], axis=-2)
  return repeat_shifted(kernel, offsets.get("output"), shape[-1], axis=-1)


def crop(epitome: Array, starts: Array | None, window: Shape) -> Array:
  """Cuts the spatial window that starts at fractional `starts`, clamped inside."""
  for axis, size in enumerate(window):
    room = epitome.shape[axis] - size
    if room == 0:
      continue
    if starts is None:
      epitome = lax.slice_in_dim(epitome, 0, size, axis=axis)
      continue
    if _is_known_cell(starts[axis]):
      begin = int(np.clip(starts[axis], 0, room))
      epitome = lax.slice_in_dim(epitome, begin, begin + size, axis=axis)
      continue
    start = jnp.clip(starts[axis], 0.0, float(room))
    # The last cell is read as (room - 1) + 1.0, so both taps stay inside.
    cell = jnp.minimum(jnp.floor(lax.stop_gradient(start)), float(room - 1))
    taps = lax.dynamic_slice_in_dim(epitome, cell.astype(jnp.int32), size + 1, axis)
    epitome = _blend(taps, start - cell, axis)
  return epitome


def repeat_shifted(x: Array, starts: Array | None, size: int, axis: int) -> Array:
  """Concatenates circularly shifted copies of `x` along `axis`, cut to `size`.

  Args:
    x: any array, n cells along `axis`.
    starts: (R,), copy r begins at cell starts[r] (modulo n); None for all zero.
    size: length of the result along `axis`, at most R * n.
    axis: the axis.
  """
  cells = x.shape[axis]
  if starts is None:
    if size == cells:
      return x
    copies = [x] * (size // cells)
    if size % cells:
      copies.append(lax.slice_in_dim(x, 0, size % cells, axis=axis))
    return jnp.concatenate(copies, axis)
  copies = []
  for replica in range(starts.shape[0]):
    copy = shift(x, starts[replica], axis)
    length = min(cells, size - replica * cells)
    copies.append(lax.slice_in_dim(copy, 0, length, axis=axis))
  return jnp.concatenate(copies, axis)


def repeat_cells(values: Array, cells: int, size: int, axis: int) -> Array:
  """Repeats each entry of `values` for the `cells` of its replica, cut to `size`."""
  # Spelled as a broadcast: jnp.repeat gathers, and its gradient scatters.
  axis %= values.ndim
  shape = values.shape
  repeated = jnp.broadcast_to(
    jnp.expand_dims(values, axis + 1), (*shape[: axis + 1], cells, *shape[axis + 1 :])
  ).reshape(*shape[:axis], shape[axis] * cells, *shape[axis + 1 :])
  return lax.slice_in_dim(repeated, 0, size, axis=axis)


# `shift` and `unshift` are each other's transpose in the array, so each one's gradient
# is the other: one pass over the cotangent, where automatic differentiation of the
# slices would write it out several times. Reverse mode only.


def shift(x: Array, start: Array, axis: int) -> Array:
  """Reads `x` from a fractional `start` on, circularly: y[j] = x[start + j].

  A `start` of NumPy is known when a program is made, as it is in a network that ships:
  an integer one then costs two slices, and no arithmetic.
  """
  if _is_known_cell(start):
    return _rolled(x, int(start), axis)
  return _shift(*varying.alike(x, jnp.asarray(start)), axis)


def unshift(y: Array, start: Array, axis: int) -> Array:
  """Adds `y` to where `shift` would read it: the transpose of `shift`."""
  if _is_known_cell(start):
    return _rolled(y, -int(start), axis)
  return _unshift(*varying.alike(y, jnp.asarray(start)), axis)


def _is_known_cell(start: Any) -> bool:
  return isinstance(start, np.ndarray | np.generic) and float(start).is_integer()


def _rolled(x: Array, start: int, axis: int) -> Array:
  begin = start % x.shape[axis]
  if begin == 0:
    return x
  ends = lax.slice_in_dim(x, 0, begin, axis=axis)
  return jnp.concatenate([lax.slice_in_dim(x, begin, None, axis=axis), ends], axis)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _shift(x: Array, start: Array, axis: int) -> Array:
  low, high, fraction = _read_taps(x, start, axis)
  return low + fraction * (high - low)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _unshift(y: Array, start: Array, axis: int) -> Array:
  near, far, fraction = _write_taps(y, start, axis)
  return near + fraction * (far - near)


def _read_taps(x: Array, start: Array, axis: int) -> tuple[Array, Array, Array]:
  cell, fraction = split_circular(start, x.shape[axis])
  ring = jnp.concatenate([x, x], axis)
  taps = lax.dynamic_slice_in_dim(ring, cell, x.shape[axis] + 1, axis)
  return *_neighbours(taps, axis), fraction.astype(x.dtype)


def _write_taps(y: Array, start: Array, axis: int) -> tuple[Array, Array, Array]:
  cells = y.shape[axis]
  cell, fraction = split_circular(start, cells)
  ring = jnp.concatenate([y, y], axis)
  taps = lax.dynamic_slice_in_dim(ring, cells - 1 - cell, cells + 1, axis)
  far, near = _neighbours(taps, axis)
  return near, far, fraction.astype(y.dtype)


def _shift_forward(x: Array, start: Array, axis: int) -> tuple[Array, Any]:
  return _shift(x, start, axis), (x, start)


def _shift_backward(axis: int, kept: Any, gradient: Array) -> tuple[Array, Array]:
  x, start = kept
  near, far, fraction = _write_taps(gradient, start, axis)
  slope = jnp.sum((x * (far - near)).astype(start.dtype))
  return near + fraction * (far - near), slope


def _unshift_forward(y: Array, start: Array, axis: int) -> tuple[Array, Any]:
  return _unshift(y, start, axis), (y, start)


def _unshift_backward(axis: int, kept: Any, gradient: Array) -> tuple[Array, Array]:
  y, start = kept
  low, high, fraction = _read_taps(gradient, start, axis)
  slope = jnp.sum((y * (high - low)).astype(start.dtype))
  return low + fraction * (high - low), slope


_shift.defvjp(_shift_forward, _shift_backward)
_unshift.defvjp(_unshift_forward, _unshift_backward)


def split_circular(start: Array, cells: int) -> tuple[Array, Array]:
  """Splits a circular index into its cell (int32, in [0, cells)) and fraction."""
  below = jnp.floor(lax.stop_gradient(start))
  return jnp.mod(below, float(cells)).astype(jnp.int32), start - below


def _blend(taps: Array, fraction: Array, axis: int) -> Array:
  """Interpolates between neighbours along `axis`, which gets one cell shorter."""
  low, high = _neighbours(taps, axis)
  return low + fraction.astype(taps.dtype) * (high - low)


def _neighbours(taps: Array, axis: int) -> tuple[Array, Array]:
  """All cells but the last, and all but the first."""
  cells = taps.shape[axis]
  low = lax.slice_in_dim(taps, 0, cells - 1, axis=axis)
  return low, lax.slice_in_dim(taps, 1, cells, axis=axis)


def _sample_blocks(epitome: Array, offsets: Offsets, shape: Shape) -> Array:
  """Blockwise `sample`: each (r_in, r_out) block reads with its own offsets.

  All blocks at once: one after another, a wide layer's hundreds of them would take
  minutes to compile.
  """
  rows, columns = replica_counts(shape, epitome.shape)

  def block(starts: Offsets) -> Array:
    taps = crop(epitome, starts.get("spatial"), shape[:-2])
    for name, axis in (("input", -2), ("output", -1)):
      taps = shift(taps, starts[name], axis) if name in starts else taps
    return taps

  # Known offsets too: a program that is made of blocks takes arrays of JAX alone.
  starts = {name: jnp.asarray(value) for name, value in offsets.items()}
  blocks = jax.vmap(jax.vmap(block))(starts)
  axes = range(2, blocks.ndim - 2)
  blocks = blocks.transpose(*axes, 0, blocks.ndim - 2, 1, blocks.ndim - 1)
  inputs, outputs = epitome.shape[-2:]
  kernel = blocks.reshape(*shape[:-2], rows * inputs, columns * outputs)
  return kernel[..., : shape[-2], : shape[-1]]
