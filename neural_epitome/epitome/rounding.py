"""Numbers rounded to integers of a few bits, a factor an output channel; or float16.

Symmetric and to the nearest, as qwix does it. The gradient passes straight through (the
straight-through estimator of arXiv 1308.3432, as quantisation-aware training uses it,
arXiv 1712.05877).
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from neural_epitome.epitome.sampling import Array
from neural_epitome.errors import UserError


def check_bits(bits: int) -> None:
  """Raises UserError unless the bits are those of floats or of small integers."""
  if bits not in (16, 32) and bits not in range(2, 9):
    raise UserError(f"bits={bits} must be 32 or 16 (floats), or 2 to 8 (integers).")


# Compiled, for a file as in a network: done operation by operation, a factor may differ
# in its last bit, and a number half-way between two integers go to the other one.
@functools.partial(jax.jit, static_argnames="bits")
def quantise(array: Array, bits: int) -> tuple[Array, Array]:
  """Rounds to integers in [-m, m], m = 2**(bits - 1) - 1.

  Args:
    array: float32, of any shape.
    bits: of an integer, 2 to 8.

  Returns:
    The integers, int8, and the factors that they are multiplied by, float32: one an
    entry of the last axis, or (1,) for an array of one axis.
  """
  integers, factors = _quantised(array, bits)
  return integers.astype(jnp.int8), factors.reshape(-1)


@functools.partial(jax.jit, static_argnames="bits")
def straight_through(array: Array, bits: int) -> Array:
  """What is stored at these bits; the gradient is that of the array as it is."""
  fixed = jax.lax.stop_gradient(array)
  if bits == 16:
    stored = fixed.astype(jnp.float16).astype(array.dtype)
  else:
    integers, factors = _quantised(fixed, bits)
    stored = integers * factors
  # The difference is exactly zero and has the array's gradient.
  return stored + (array - fixed)


def rounded(arrays: Mapping[str, Any], widths: Mapping[str, int]) -> dict[str, Any]:
  """Arrays as a network reads them: those of fewer than 32 bits by `straight_through`.

  Args:
    arrays: float32, by any key.
    widths: bits by the same keys; an array without any stays as it is.

  Raises:
    UserError: for other bits, see `check_bits`.
  """
  as_read = dict(arrays)
  for key, bits in widths.items():
    check_bits(bits)
    if bits < 32 and key in as_read:
      as_read[key] = straight_through(as_read[key], bits)
  return as_read


def _quantised(array: Array, bits: int) -> tuple[Array, Array]:
  """Integers, still float32, and factors that broadcast against them."""
  most = 2 ** (bits - 1) - 1
  axes = tuple(range(array.ndim - 1)) or None
  largest = jnp.max(jnp.abs(array), axis=axes, keepdims=True)
  # Multiplied and divided as qwix does it, to the last bit: files and trained networks
  # of before stay as they are. The largest magnitude becomes `most` exactly, so what
  # was rounded once stays as it is, as a file that is read again must.
  factors = largest * ((most + 0.5) / most) / (most + 0.5)
  smallest = jnp.sqrt(jnp.finfo(factors.dtype).tiny)
  factors = jnp.where(factors < smallest, 1.0, factors)
  return jnp.round(array / factors), factors
