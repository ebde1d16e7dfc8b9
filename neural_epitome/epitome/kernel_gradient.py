"""A convolution whose kernel's gradient is the sum of those of parts of the batch.

For that gradient XLA's CPU backend takes the batch for the channels of one large
convolution. Where activations are larger than the caches it slows down several times;
parts that fit are as fast as the forward pass. Differentiable in reverse mode only.
"""

import functools
from collections.abc import Callable

import jax

# Bytes of activations above which it pays, of a part, and images of one at least.
_LARGE, _PART, _FEWEST = 8 * 2**20, 2 * 2**20, 4

Convolution = Callable[[jax.Array, jax.Array], jax.Array]


def pays(x: jax.Array) -> bool:
  """Whether `convolve` is faster for inputs (batch, *space, channels) on a CPU."""
  return _nbytes(x) > _LARGE and _FEWEST <= _part(x) < x.shape[0]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def convolve(function: Convolution, x: jax.Array, kernel: jax.Array) -> jax.Array:
  """`function(x, kernel)`, which is linear in both and takes any batch.

  Args:
    function: a convolution.
    x: (batch, *space, Cin).
    kernel: (*kernel_size, Cin / groups, Cout).
  """
  return function(x, kernel)


def _forward(function, x, kernel):
  return function(x, kernel), (x, kernel)


def _backward(function, kept, gradient):
  x, kernel = kept
  part = _part(x)
  # Neighbours go to different parts, so that a part has images of every shard.
  xs, gradients = (
    a.reshape(part, a.shape[0] // part, *a.shape[1:]) for a in (x, gradient)
  )
  of_input = jax.vjp(lambda x: function(x, kernel), x)[1](gradient)[0]
  of_kernel = [
    jax.vjp(lambda kernel, i=i: function(xs[:, i], kernel), kernel)[1](gradients[:, i])
    for i in range(xs.shape[1])
  ]
  return of_input, sum(one for (one,) in of_kernel)


convolve.defvjp(_forward, _backward)


def _part(x: jax.Array) -> int:
  """Images of a part: the largest divisor of the batch that is small enough, or 1."""
  batch = x.shape[0]
  most = max(1, _PART * batch // _nbytes(x))
  return max(n for n in range(1, min(most, batch) + 1) if batch % n == 0)


def _nbytes(x: jax.Array) -> int:
  return x.size * x.dtype.itemsize
