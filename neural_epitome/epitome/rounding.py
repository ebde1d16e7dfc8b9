"""Numbers rounded to integers of a few bits, one factor an output channel.

Symmetric and to the nearest; the gradient passes straight through (the
straight-through estimator of arXiv 1308.3432, as quantisation-aware training uses it,
arXiv 1712.05877).
"""

import jax
import jax.numpy as jnp

from neural_epitome.epitome.sampling import Array
from neural_epitome.errors import UserError


def check_bits(bits: int) -> None:
  """Raises UserError unless the bits are those of floats or of small integers."""
  if bits != 32 and not 2 <= bits <= 8:
    raise UserError(f"bits={bits} must be 32, or 2 to 8.")


def quantise(array: Array, bits: int) -> tuple[Array, Array]:
  """Rounds to integers in [-m, m], m = 2**(bits - 1) - 1.

  Args:
    array: of any shape, of JAX or NumPy.
    bits: of an integer.

  Returns:
    The integers, in the array's dtype, and the factors that they are multiplied by:
    one an entry of the last axis, or (1,) for an array of one axis.
  """
  axes = tuple(range(array.ndim - 1)) if array.ndim > 1 else None
  # A file is rounded without compiling anything for it.
  numpy = array.__array_namespace__()
  largest = numpy.max(numpy.abs(array), axis=axes).reshape(-1)
  # A channel of zeros stays one.
  scale = numpy.maximum(largest / (2 ** (bits - 1) - 1), 1e-30)
  spread = scale.reshape((1,) * (array.ndim - 1) + (-1,))
  return numpy.round(array / spread), scale


def straight_through(array: Array, bits: int) -> Array:
  """Integers times factors; the gradient is that of the array as it is."""
  fixed = jax.lax.stop_gradient(jnp.asarray(array))
  integers, scale = quantise(fixed, bits)
  rounded = integers * scale.reshape((1,) * (fixed.ndim - 1) + (-1,))
  # The difference is exactly zero and has the array's gradient.
  return rounded + (array - fixed)
