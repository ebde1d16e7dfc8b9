"""Least squares of a kernel each weight of which reads one number of a stored tensor.

Let weight i be factor[i] * T[index[i]], with an unknown tensor T. As a matrix, W = G T
where every row of G has one entry, so G^T D G is diagonal for weights D of the squared
differences, and the least squares have a closed form: T[j] is the quotient of

    above[j] = sum of D[i] * factor[i] * W[i]    over the weights i that read T[j],
    below[j] = sum of D[i] * factor[i]**2        over the same.

Sums of several kernels that read one tensor are added before they are divided.
"""

from collections.abc import Callable
from typing import Any


def sums(
  transposed: Callable[[Any], Any], factors: Any, kernel: Any, weight: Any = None
) -> tuple[Any, Any]:
  """Numerators and denominators of the least squares, both of the tensor's shape.

  Args:
    transposed: what G^T makes of an array of the kernel's shape.
    factors: of every weight, of the kernel's shape: what G makes of ones.
    kernel: that should be generated, an array of NumPy or JAX.
    weight: what each squared difference counts, of the kernel's shape; None counts all
      alike.
  """
  if weight is not None:
    kernel, factors = weight * kernel, weight * factors
  return transposed(kernel), transposed(factors)


def quotient(above: Any, below: Any, least: float = 1e-30) -> Any:
  """The nearest numbers from their sums; zero where nothing reads them.

  Args:
    above: numerators, an array of NumPy or JAX.
    below: denominators, at least zero, of the same shape.
    least: a number whose denominator is not above this counts as read by nothing.
  """
  numpy, is_read = below.__array_namespace__(), below > least
  return numpy.where(is_read, above, 0.0) / numpy.where(is_read, below, 1.0)
