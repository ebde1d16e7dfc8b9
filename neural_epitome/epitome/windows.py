"""Kernels as windows and back, the windows of a ring, and the nearest of them."""

import math
from collections.abc import Sequence
from typing import TypeVar

import jax.numpy as jnp
import numpy as np

from neural_epitome.epitome.sampling import Array, Shape

_Numbers = TypeVar("_Numbers", np.ndarray, Array)

# Multiplications of one product of matrices: so few stay in the cache, and BLAS does
# not share them out to threads, which would mostly wait for each other.
_PRODUCT = 2**18


def counts(shape: Shape, extents: Sequence[int]) -> Shape:
  """Windows along each axis of a kernel; the last one of an axis may jut out."""
  return tuple(-(-n // extent) for n, extent in zip(shape, extents, strict=True))


def apart(kernel: np.ndarray, extents: Sequence[int]) -> np.ndarray:
  """A kernel cut into windows.

  Args:
    kernel: of any shape.
    extents: of a window along each axis.

  Returns:
    (windows, d), both in row-major order; zeros where windows jut out.
  """
  numbers = counts(kernel.shape, extents)
  full = [n * extent for n, extent in zip(numbers, extents, strict=True)]
  kernel = np.pad(
    kernel, [(0, n - size) for n, size in zip(full, kernel.shape, strict=True)]
  )
  axes = len(extents)
  split = [n for pair in zip(numbers, extents, strict=True) for n in pair]
  order = [*range(0, 2 * axes, 2), *range(1, 2 * axes, 2)]
  return kernel.reshape(split).transpose(order).reshape(-1, math.prod(extents))


def together(windows: _Numbers, shape: Shape, extents: Sequence[int]) -> _Numbers:
  """The kernel of windows (windows ..., d): the inverse of `apart`."""
  numbers, axes = counts(shape, extents), len(extents)
  windows = windows.reshape(*numbers, *extents)
  order = [i for axis in range(axes) for i in (axis, axes + axis)]
  full = [n * extent for n, extent in zip(numbers, extents, strict=True)]
  whole = windows.transpose(order).reshape(full)
  return whole[tuple(slice(size) for size in shape)]


def table(ring: Array, size: int) -> Array:
  """Every window of a ring (L,), its first number that of the row: (L, size)."""
  return jnp.stack([jnp.roll(ring, -tap) for tap in range(size)], -1)


def places(length: int, size: int) -> np.ndarray:
  """Where on a ring the numbers of every window lie, (length, size)."""
  return (np.arange(length)[:, None] + np.arange(size)) % length


def cheapest(rows: np.ndarray, table_: np.ndarray) -> np.ndarray:
  """The row of a table with which each row's inner product is least.

  Args:
    rows: float32 (N, D).
    table_: float32 (L, D).

  Returns:
    int32 (N,).
  """
  columns = np.ascontiguousarray(table_.T, np.float32)
  result = np.empty(len(rows), np.int32)
  block = max(_PRODUCT // columns.size, 16)
  for begin in range(0, len(rows), block):
    part = rows[begin : begin + block]
    result[begin : begin + block] = np.argmin(part @ columns, 1)
  return result
