"""Numbers rounded to integers of a few bits, a factor an output channel; or float16.

Symmetric and to the nearest, as qwix does it. The gradient passes straight through (the
straight-through estimator of arXiv 1308.3432, as quantisation-aware training uses it,
arXiv 1712.05877).

One bit is a sign: w becomes a sign(w), where the factor a = mean |w| of an output
channel is the nearest to w in least squares (XNOR-Net, arXiv 1603.05279, section 3.1).
In training signs change by the tight piecewise polynomial (Bi-Real Net, arXiv
1808.00278, section 3.3; Xu and Cheung, arXiv 1909.13863)

    sign(w) ~ 2 x - x |x|,  x = w / 3a cut off at -1 and 1,

in whose range nearly all of normally distributed weights lie; those outside it keep
their sign. The factor is trained by its own gradient, the sum of the gradients times
the signs. It is no parameter beside the weights, as it is for Xu and Cheung, but their
mean magnitude, which moves by that gradient: any stored tensor may have one bit so.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.epitome.sampling import Array
from neural_epitome.errors import UserError

# Factors beyond which a sign is not changed in training.
_RANGE = 3


def check_bits(bits: int) -> None:
  """Raises UserError unless the bits are those of floats or of small integers."""
  if bits not in (16, 32) and bits not in range(1, 9):
    raise UserError(f"bits={bits} must be 32 or 16 (floats), or 1 to 8 (integers).")


# Compiled, for a file as in a network: done operation by operation, a factor may differ
# in its last bit, and a number half-way between two integers go to the other one.
@functools.partial(jax.jit, static_argnames="bits")
def quantise(array: Array, bits: int) -> tuple[Array, Array]:
  """Rounds to integers in [-m, m], m = 2**(bits - 1) - 1; of one bit they are +-1.

  Args:
    array: float32, of any shape.
    bits: of an integer, 1 to 8.

  Returns:
    The integers, int8, and the factors that they are multiplied by, float32: one an
    entry of the last axis, or (1,) for an array of one axis.
  """
  integers, factors = _quantised(array, bits)
  return integers.astype(jnp.int8), factors.reshape(-1)


def digits(integers: np.ndarray, bits: int) -> np.ndarray:
  """The integers of `quantise` as unsigned ones, 0 to 2**bits - 1, int32."""
  whole = np.asarray(integers, np.int32)
  return (whole + 1) // 2 if bits == 1 else whole + (1 << (bits - 1))


@functools.partial(jax.jit, static_argnames="bits")
def straight_through(array: Array, bits: int) -> Array:
  """What is stored at these bits; the gradient is that of the array as it is.

  Of one bit, it is that of signs and factors, see above.
  """
  fixed = jax.lax.stop_gradient(array)
  if bits == 1:
    signs, factors = _signs(fixed)
    smooth = factors * _sign_in_training(array, factors) + signs * _mean(array)
    return signs * factors + (smooth - jax.lax.stop_gradient(smooth))
  if bits == 16:
    stored = fixed.astype(jnp.float16).astype(array.dtype)
  else:
    integers, factors = _quantised(fixed, bits)
    stored = integers * factors
  # The difference is exactly zero and has the array's gradient.
  return stored + (array - fixed)


def nearest(array: np.ndarray, bits: int) -> np.ndarray:
  """`straight_through` in NumPy, for comparisons: nothing is compiled for a shape.

  A factor may differ in its last bit from that of a file.

  Args:
    array: float32, of any shape.
    bits: 1 to 8, or 16 for float16.
  """
  if bits == 16:
    return array.astype(np.float16).astype(np.float32)
  magnitudes, axes = np.abs(array), _but_the_last(array)
  if bits == 1:
    factors = np.mean(magnitudes, axis=axes, keepdims=True)
    return np.where(array < 0, -factors, factors)
  factors = np.max(magnitudes, axis=axes, keepdims=True)
  factors = factors / np.float32(2 ** (bits - 1) - 1)
  smallest = np.sqrt(np.finfo(np.float32).tiny)
  factors = np.where(factors < smallest, np.float32(1), factors)
  return np.round(array / factors) * factors


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
  if bits == 1:
    return _signs(array)
  most = 2 ** (bits - 1) - 1
  largest = jnp.max(jnp.abs(array), axis=_but_the_last(array), keepdims=True)
  # Multiplied and divided as qwix does it, to the last bit: files and trained networks
  # of before stay as they are. The largest magnitude becomes `most` exactly, so what
  # was rounded once stays as it is, as a file that is read again must.
  factors = largest * ((most + 0.5) / most) / (most + 0.5)
  smallest = jnp.sqrt(jnp.finfo(factors.dtype).tiny)
  factors = jnp.where(factors < smallest, 1.0, factors)
  return jnp.round(array / factors), factors


def _signs(array: Array) -> tuple[Array, Array]:
  """Signs, float32, and factors that broadcast against them; 0 is a plus."""
  magnitudes, axes = jnp.abs(array), _but_the_last(array)
  largest = jnp.max(magnitudes, axis=axes, keepdims=True)
  smallest = jnp.min(magnitudes, axis=axes, keepdims=True)
  # The mean of equal numbers may be another one in its last bit, and what is read from
  # a file must stay as it is.
  factors = jnp.where(smallest == largest, largest, _mean(array))
  return jnp.where(array < 0, -1.0, 1.0), factors


def _mean(array: Array) -> Array:
  return jnp.mean(jnp.abs(array), axis=_but_the_last(array), keepdims=True)


def _sign_in_training(array: Array, factors: Array) -> Array:
  """The piecewise polynomial that is near to the sign."""
  ends = jnp.maximum(_RANGE * factors, jnp.finfo(array.dtype).tiny)
  x = jnp.clip(array / ends, -1.0, 1.0)
  return 2 * x - x * jnp.abs(x)


def _but_the_last(array: Array | np.ndarray) -> tuple[int, ...] | None:
  """The axes over which numbers have one factor: of one axis alone, that one."""
  return tuple(range(array.ndim - 1)) or None
