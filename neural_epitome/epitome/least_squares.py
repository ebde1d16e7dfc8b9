"""The stored numbers that are nearest to a kernel of which every weight reads one.

Let weight i be factor[i] * T[index[i]], of a tensor T to be found. As a matrix, W = G T
where every row of G has one entry, so G^T D G is diagonal for weights D of the squared
differences, and the least squares have a closed form: T[j] is the quotient of

    above[j] = sum of D[i] * factor[i] * W[i]    over the weights i that read T[j],
    below[j] = sum of D[i] * factor[i]**2        over the same.

Sums of several kernels that read one tensor are added before they are divided.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from neural_epitome.epitome import varying
from neural_epitome.epitome.sampling import Array, Shape


def sums(
  read: Callable[[Array], Array], size: Shape, kernel: Array, weight: Any = None
) -> tuple[Array, Array]:
  """Numerators and denominators of the least squares, each of shape `size`.

  Args:
    read: the kernel that is generated from a tensor T of shape `size`: linear, and
      every weight reads one number of T.
    size: shape of T.
    kernel: that should be generated.
    weight: what each squared difference counts, of a shape that broadcasts to the
      kernel's; None counts all alike.
  """
  ones, kernel = varying.alike(jnp.ones(size, jnp.float32), kernel)
  # G times ones: the factors.
  factors, transposed = jax.vjp(read, ones)
  if weight is not None:
    weight = jnp.broadcast_to(weight, kernel.shape)
    kernel, factors = weight * kernel, weight * factors
  [above], [below] = transposed(kernel), transposed(factors)
  return above, below


def quotient(above: Any, below: Any, least: float = 1e-30) -> Any:
  """The nearest numbers from their sums; zero where nothing reads them.

  Args:
    above: numerators, an array of NumPy or JAX.
    below: denominators, at least zero.
    least: a number whose denominator is not above this counts as read by nothing.
  """
  numpy, is_read = below.__array_namespace__(), below > least
  return numpy.where(is_read, above, 0.0) / numpy.where(is_read, below, 1.0)
