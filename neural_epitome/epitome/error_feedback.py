"""Windows of a kernel chosen so that each makes up for the errors of those before it.

What a layer loses is not the error E of its kernel but that of its output, sum of
e^T H e over the outputs' columns e of E, where H are the second moments of what the
layer reads. With H = R R^T and R upper triangular that is a sum over blocks S of
inputs,

    sum over S of |R_SS^T (w_S + b_S - q_S)|^2,   R_SS^T b_S = sum of R_TS^T e_T, T < S,

so what is read of the ring for a block, q_S, has to be near to its weights and to b_S,
what the blocks before it owe; R_SS R_SS^T is what differences count. That is the error
feedback of GPTQ (Frantar et al., 2022, arXiv 2210.17323, section 3) for windows in the
place of single weights, as in GPTVQ (van Baalen et al., 2024, arXiv 2402.15319),
written as the nearest plane of a lattice (Babai, 1986): no inverse is needed. Blocks of
large inputs come first.

The ring and the scales of outputs are then the least squares of the whole sum, and both
steps alternate.
"""

import functools
import itertools
import math
from typing import NamedTuple

import numpy as np

from neural_epitome.epitome import least_squares, window_fit, windows
from neural_epitome.epitome.sampling import Shape

# Of the mean of H's diagonal, added to it: what examples cannot tell.
_DAMPING = 0.01
# Rows whose errors are passed on in one product.
_TOGETHER = 128
# Steps of conjugate gradients of the ring, which is near already.
_STEPS = 8


class Inputs:
  """What a kernel (*window, Cin, Cout) reads.

  Attributes:
    moments: float32 (K, K) second moments of the K = taps * Cin inputs of an output,
      damped.
  """

  def __init__(self, moments: np.ndarray) -> None:
    """From second moments (K, K), symmetric and positive semidefinite."""
    mean = float(np.mean(np.diag(moments)))
    damping = _DAMPING * mean if mean > 0 else 1.0
    damped = moments + np.float32(damping) * np.eye(len(moments), dtype=np.float32)
    self.moments = np.asarray(damped, np.float32)
    self.blocks = functools.lru_cache(4)(self._blocks)

  def energy(self, rows: np.ndarray) -> float:
    """Mean square of the outputs of a kernel (K, Cout), times Cout."""
    return float(np.vdot(rows, self.moments @ rows))

  def projection(self, kernel: np.ndarray, made: np.ndarray, each: bool) -> np.ndarray:
    """What `made` is multiplied with to be nearest in its outputs.

    Args:
      kernel: (K, Cout).
      made: (K, Cout).
      each: whether every output has a factor of its own.

    Returns:
      (Cout,) or (1,), at least 0; 1 where `made` is zeros.
    """
    seen = self.moments @ made
    above, below = np.sum(kernel * seen, 0), np.sum(made * seen, 0)
    if not each:
      above, below = np.sum(above, keepdims=True), np.sum(below, keepdims=True)
    factors = least_squares.quotient(np.float64(above), np.float64(below))
    return np.where(below > 1e-30, np.maximum(factors, 0.0), 1.0).astype(np.float32)

  def _blocks(self, shape: Shape, extents: Shape) -> "_Blocks":
    """Of a kernel's windows.

    Args:
      shape: of the kernel.
      extents: of a window.
    """
    numbers = np.arange(1, len(self.moments) + 1).reshape(*shape[:-1], 1)
    every = windows.apart(numbers, (*extents[:-1], 1)) - 1
    power = np.diag(self.moments)
    sizes = [np.mean(power[block[block >= 0]]) for block in every]
    order = np.argsort(np.negative(sizes), kind="stable")
    rows = np.concatenate([every[k][every[k] >= 0] for k in order])
    # Of H backwards, so that R is upper triangular.
    backwards = self.moments[np.ix_(rows[::-1], rows[::-1])].astype(np.float64)
    factor = np.linalg.cholesky(backwards)[::-1, ::-1]
    # In units in which a weight that is known all others of its block counts 1.
    begins = np.cumsum([0, *(int(np.sum(every[k] >= 0)) for k in order)])
    own = sum(
      np.sum(np.square(factor[a:b, a:b])) for a, b in itertools.pairwise(begins)
    )
    unit = math.sqrt(own / len(rows)) or 1.0
    return _Blocks(every, order, rows, (factor / unit).astype(np.float32))


class _Blocks(NamedTuple):
  """Inputs in the order in which windows are chosen.

  Attributes:
    every: (blocks, d) rows of the kernel as a matrix (K, Cout); -1 where it ends.
    order: of the blocks.
    rows: (K,) of all blocks in that order.
    factor: float32 (K, K), R, its rows and columns in that order.
  """

  every: np.ndarray
  order: np.ndarray
  rows: np.ndarray
  factor: np.ndarray


def assign(
  inputs: Inputs,
  kernel: np.ndarray,
  extents: Shape,
  ring: np.ndarray,
  prices: np.ndarray,
) -> np.ndarray:
  """The start of every window, chosen block after block.

  Args:
    inputs: what the kernel reads.
    kernel: float32 (*window, Cin, Cout), in units of the ring.
    extents: of a window along its axes.
    ring: (L,).
    prices: (L,) of a start, in squared errors of a weight.

  Returns:
    int32 (windows,), in the order of `windows.apart`.
  """
  every, order, rows, factor = inputs.blocks(kernel.shape, extents)
  outputs, width = kernel.shape[-1], extents[-1]
  columns = -(-outputs // width)
  weights = kernel.reshape(len(rows), outputs)[rows]
  errors, owing = np.zeros_like(weights), np.zeros_like(weights)
  starts = np.empty((len(every), columns), np.int32)
  places = windows.places(len(ring), every.shape[1] * width)
  first = end = 0  # of the rows whose errors are not in `owing` yet
  for k in order:
    is_there = every[k] >= 0
    if end - first >= _TOGETHER:
      owing[end:] += factor[first:end, end:].T @ errors[first:end]
      first = end
    begin, end = end, end + int(np.sum(is_there))
    own = factor[begin:end, begin:end]
    owed = owing[begin:end] + factor[first:begin, begin:end].T @ errors[first:begin]
    # As below, for single weights, of which there are many.
    if every.shape[1] * width == 1:
      wanted, worth = weights[begin] + owed[0] / own[0, 0], own[0, 0] ** 2
      cost = np.multiply.outer(-2 * worth * wanted, ring) + (worth * ring**2 + prices)
      starts[k] = np.argmin(cost, 1)
      errors[begin] = weights[begin] - ring[starts[k]]
      continue
    wanted = weights[begin:end] + np.linalg.solve(own.T, owed)
    # (columns, d): as `windows.apart` has them, zeros where windows jut out.
    full = np.zeros((len(is_there), columns * width), np.float32)
    full[is_there, :outputs] = wanted
    full = full.reshape(len(is_there), columns, width).transpose(1, 0, 2)
    metric = np.zeros((len(is_there),) * 2, np.float32)
    metric[np.ix_(is_there, is_there)] = own @ own.T
    if width > 1:
      metric = np.kron(metric, np.eye(width, dtype=np.float32))
    target = window_fit.Target(full.reshape(columns, -1), metric)
    starts[k] = window_fit.assign(target, ring, prices)
    read = ring[places[starts[k]]].reshape(columns, -1, width).transpose(1, 0, 2)
    read = read.reshape(len(is_there), -1)[is_there, :outputs]
    errors[begin:end] = weights[begin:end] - read
  return starts.reshape(-1)


def nearest_ring(
  inputs: Inputs,
  kernel: np.ndarray,
  extents: Shape,
  starts: np.ndarray,
  ring: np.ndarray,
  worth: np.ndarray,
) -> np.ndarray:
  """The ring with which the outputs are nearest, by conjugate gradients.

  Args:
    inputs: what the kernel reads.
    kernel: as of `assign`.
    extents: of a window along its axes.
    starts: of every window.
    ring: float32 (L,) to begin with.
    worth: (Cout,) or (1,), what the squared error of an output counts.
  """
  where = places_read(kernel.shape, extents, starts, len(ring))
  rows = kernel.reshape(where.shape)

  def onto_ring(values: np.ndarray) -> np.ndarray:
    sums = np.bincount(where.reshape(-1), values.reshape(-1), len(ring))
    return sums / len(rows)

  def weighted(values: np.ndarray) -> np.ndarray:
    return inputs.moments @ (worth * values).astype(np.float32)

  found = ring.astype(np.float64)
  left = onto_ring(weighted(rows - found[where]))
  step, energy = left.copy(), float(left @ left)
  least = 1e-10 * energy
  for _ in range(_STEPS):
    if energy <= least:
      break
    image = onto_ring(weighted(step[where]))
    share = energy / float(step @ image)
    found, left = found + share * step, left - share * image
    energy, before = float(left @ left), energy
    step = left + energy / before * step
  return found.astype(np.float32)


def places_read(
  shape: Shape, extents: Shape, starts: np.ndarray, length: int
) -> np.ndarray:
  """The number of the ring that every weight is, int (K, Cout)."""
  read = windows.places(length, math.prod(extents))[starts.reshape(-1)]
  return windows.together(read, shape, extents).reshape(-1, shape[-1])
