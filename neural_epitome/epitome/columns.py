"""What a layer reads for its outputs, as rows of a matrix, and their second moments."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax

from neural_epitome.epitome import padding as paddings

# Of what a layer reads in a call, in which second moments are measured.
MOST_ROWS = 8192
# Of more inputs an output reads, second moments take too much room.
MOST_INPUTS = 8192
# With a tenth as many rows as inputs, half of what inputs have in common is believed.
_ENOUGH = 10


class Moments:
  """Second moments of rows that come in parts."""

  def __init__(self) -> None:
    """Of nothing yet."""
    self._sum: np.ndarray = np.zeros((), np.float32)
    self._count = 0

  def add(self, rows: np.ndarray) -> None:
    """Counts rows (N, K), float32."""
    self._sum = self._sum + rows.T @ rows
    self._count += len(rows)

  def mean(self) -> np.ndarray:
    """float32 (K, K), of x x^T.

    What inputs have in common is shrunk as there are few rows for many inputs: then it
    is that of the examples alone (Ledoit and Wolf, 2004, "A well-conditioned estimator
    for large-dimensional covariance matrices").
    """
    mean = self._sum / np.float32(self._count)
    share = 1 / (1 + len(mean) / (_ENOUGH * self._count))
    own = np.diag(np.diag(mean))
    return np.float32(share) * (mean - own) + own


def drawn(count: int) -> np.ndarray:
  """Which of so many rows are taken: all, if they are few."""
  if count <= MOST_ROWS:
    return np.arange(count)
  return np.random.default_rng(0).choice(count, MOST_ROWS, replace=False)


def of_convolution(
  x: np.ndarray,
  *,
  kernel_size: Sequence[int],
  strides: Sequence[int],
  padding: paddings.CanonicalPadding,
  kernel_dilation: Sequence[int],
  input_dilation: Sequence[int],
  groups: int,
) -> np.ndarray:
  """Some of what a convolution reads.

  Args:
    x: float32 (batch, *space, channels).
    kernel_size: one a spatial axis, as are the following.
    strides: see `kernel_size`.
    padding: from `padding.canonical`.
    kernel_dilation: see `kernel_size`.
    input_dilation: see `kernel_size`.
    groups: of channels that are convolved apart; each is a row of its own.

  Returns:
    (rows, taps * Cin), in the order of a kernel (*window, Cin, Cout).
  """
  padded, zeros = paddings.resolve(
    jnp.asarray(x),
    padding,
    kernel_size=kernel_size,
    strides=strides,
    kernel_dilation=kernel_dilation,
    input_dilation=input_dilation,
  )
  inner = [
    (low, high, d - 1) for (low, high), d in zip(zeros, input_dilation, strict=True)
  ]
  x = np.asarray(lax.pad(padded, jnp.float32(0), [(0, 0, 0), *inner, (0, 0, 0)]))
  extents = [(k - 1) * d + 1 for k, d in zip(kernel_size, kernel_dilation, strict=True)]
  outputs = [
    (n - extent) // stride + 1
    for n, extent, stride in zip(x.shape[1:-1], extents, strides, strict=True)
  ]
  total = len(x) * math.prod(outputs)
  batch, *at = np.unravel_index(drawn(total), (len(x), *outputs))
  columns = []
  for tap in np.ndindex(*kernel_size):
    places = [
      a * s + t * d
      for a, s, t, d in zip(at, strides, tap, kernel_dilation, strict=True)
    ]
    read = x[(batch, *places)]
    columns.append(read.reshape(len(read) * groups, -1))
  return np.concatenate(columns, 1)
