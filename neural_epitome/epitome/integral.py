"""Product map and integral map: 1-D convolutions whose filters overlap.

A condensed filter Phi of length L* = L + (N - 1) S holds N filters as windows of
length L, S apart (WSNet, ICML 2018; Neural Epitome Search, section 3.4). Products
of input and condensed filter are computed once, and each output is a difference of
two entries of their running sum along the diagonal:

    product   P[t, v] = <x[t], Phi[v]>
    integral  I[t, v] = I[t - 1, v - 1] + P[t, v]
    output    G[t, n] = I[t + L - 1, n S + L - 1] - I[t - 1, n S - 1]

T L* M multiply-adds instead of T L M N, for T positions and M channels. Running
sums in float32 drift with T; the diagonal is at most L* long, which bounds it.
"""

from typing import Any

import jax.numpy as jnp
from jax import lax

from neural_epitome.epitome.sampling import Array


def product_map(x: Array, condensed: Array, precision: Any = None) -> Array:
  """P: (batch, T, M) and (L*, M) -> (batch, T, L*)."""
  return jnp.einsum("btm,vm->btv", x, condensed, precision=precision)


def integral_map(products: Array) -> Array:
  """I with a leading row and column of zeros: (batch, T + 1, L* + 1).

  The recurrence runs over v, at most L* steps whatever T is: column v is column
  v - 1 moved down by one, plus P[:, v].
  """

  def step(column: Array, product: Array) -> tuple[Array, Array]:
    moved = jnp.pad(column[:, :-1], ((0, 0), (1, 0)))
    total = moved.at[:, 1:].add(product)
    return total, total

  batch, length, _ = products.shape
  zero = jnp.zeros((batch, length + 1), products.dtype)
  _, columns = lax.scan(step, zero, jnp.moveaxis(products, -1, 0))
  return jnp.moveaxis(jnp.concatenate([zero[None], columns]), 0, -1)


def convolve(
  x: Array,
  condensed: Array,
  *,
  length: int,
  spacing: int,
  filters: int,
  strides: int = 1,
  padding: tuple[int, int] = (0, 0),
  precision: Any = None,
) -> Array:
  """Convolves with all overlapping filters of a condensed one.

  Args:
    x: (batch, T, M).
    condensed: (L*, M), with L* = length + (filters - 1) * spacing.
    length: L, taps of one filter.
    spacing: S, taps between the starts of neighbouring filters.
    filters: N, output channels.
    strides: step between outputs along T.
    padding: zeros before and after T.
    precision: of products, see `jax.lax.Precision`.

  Returns:
    (batch, output positions, filters), equal to the convolution with the filters
    `condensed[n * spacing : n * spacing + length]`.
  """
  x = jnp.pad(x, ((0, 0), padding, (0, 0)))
  integral = integral_map(product_map(x, condensed, precision))
  positions = (x.shape[1] - length) // strides + 1
  last_position = (positions - 1) * strides
  last_filter = (filters - 1) * spacing
  end = integral[
    :,
    length : length + last_position + 1 : strides,
    length : length + last_filter + 1 : spacing,
  ]
  begin = integral[:, : last_position + 1 : strides, : last_filter + 1 : spacing]
  return end - begin
