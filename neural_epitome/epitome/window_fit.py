"""A ring, and where on it the windows of a kernel are nearest, for their price in bits.

Alternates between two steps that each make sum of

    (a_n - r_s(n))^T M (a_n - r_s(n)) + penalty * bits(s(n))  over the windows n

smaller: every window a_n goes to the start s(n) of least sum, and the ring becomes the
least squares of what now falls on it. Frequent starts are short, so the penalty trades
error for bits: entropy-constrained vector quantisation (Chou, Lookabaugh and Gray,
1989, "Entropy-constrained vector quantization") on windows that overlap.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from neural_epitome.epitome import least_squares, rounding, windows

# Steps of conjugate gradients of a weighted least squares; the ring before is near.
_STEPS = 6


class Target(NamedTuple):
  """The windows of a kernel.

  Attributes:
    rows: float32 (N, d), of variance about 1: the penalty is in units of it.
    metric: symmetric and positive definite (d, d), what differences of a window count;
      None for the identity.
  """

  rows: np.ndarray
  metric: np.ndarray | None = None


class Fit(NamedTuple):
  """What a target is stored as.

  Attributes:
    ring: float32 (L,), as it is rounded to its bits.
    starts: int32 (N,).
  """

  ring: np.ndarray
  starts: np.ndarray

  def rows(self, size: int) -> np.ndarray:
    """The windows that are read, (N, size)."""
    return self.ring[windows.places(len(self.ring), size)[self.starts]]


def first_ring(target: Target, length: int) -> np.ndarray:
  """A ring to begin with: some of the windows, or quantiles of single weights."""
  rows, size = target.rows, target.rows.shape[1]
  if size == 1:
    return np.quantile(rows, (np.arange(length) + 0.5) / length).astype(np.float32)
  random = np.random.default_rng(length)
  drawn = random.integers(len(rows), size=-(-length // size))
  return rows[drawn].reshape(-1)[:length].astype(np.float32)


def fit(
  target: Target,
  ring: np.ndarray,
  penalty: float,
  rounds: int,
  bits: int = 8,
  lengths: np.ndarray | None = None,
) -> Fit:
  """See the module.

  Args:
    target: the windows.
    ring: float32 (L,) to begin with.
    penalty: of a bit, in squared error of a weight of variance 1; 0 for the nearest.
    rounds: of both steps.
    bits: of a number of the ring, see `rounding`.
    lengths: bits of every start to begin with; all alike by default.

  Returns:
    The ring rounded, and every window's best start on it.
  """
  size = len(ring)
  if lengths is None:
    lengths = np.full(size, np.log2(size))
  for _ in range(rounds):
    starts = assign(target, ring, penalty * lengths)
    lengths = ideal_lengths(np.bincount(starts, minlength=size))
    ring = _nearest_ring(target, starts, ring)
  ring = rounded(ring, bits)
  return Fit(ring, assign(target, ring, penalty * lengths))


def rounded(ring: np.ndarray, bits: int) -> np.ndarray:
  """A ring as it is read at so many bits, see `rounding`; float32."""
  if bits == 16:  # without being compiled for every length
    return ring.astype(np.float16).astype(np.float32)
  return np.asarray(rounding.rounded({"": jnp.asarray(ring)}, {"": bits})[""])


def ideal_lengths(counts: np.ndarray) -> np.ndarray:
  """Bits of symbols that occur so often; of one that does not, as if it half did."""
  counts = np.maximum(counts, 0.5)
  return np.log2(counts.sum() / counts)


def assign(target: Target, ring: np.ndarray, prices: np.ndarray) -> np.ndarray:
  """The start of every window whose error and price are least.

  Args:
    target: the windows.
    ring: (L,).
    prices: (L,), of a start.
  """
  rows, metric = target
  table = np.asarray(ring, np.float32)[windows.places(len(ring), rows.shape[1])]
  weighted = table if metric is None else table @ metric
  constant = np.sum(weighted * table, 1) + prices
  ones = np.ones((len(rows), 1), np.float32)
  return windows.cheapest(
    np.concatenate([rows, ones], 1),
    np.concatenate([-2.0 * weighted, constant[:, None]], 1),
  )


def _nearest_ring(target: Target, starts: np.ndarray, ring: np.ndarray) -> np.ndarray:
  """The least squares of what falls on every number of the ring."""
  rows, metric = target
  size, length = rows.shape[1], len(ring)
  counts = np.bincount(starts, minlength=length).astype(np.float64)
  # (L, d): sums of the windows that start at a place.
  sums = np.stack([np.bincount(starts, column, length) for column in rows.T], 1)
  places = windows.places(length, size)

  def onto_ring(values: np.ndarray) -> np.ndarray:
    return np.bincount(places.reshape(-1), values.reshape(-1), length)

  if metric is None:
    on_places = onto_ring(np.repeat(counts, size))
    nearest = least_squares.quotient(onto_ring(sums), on_places)
    # What nothing reads stays: later windows may.
    return np.where(on_places > 0, nearest, ring).astype(np.float32)

  def normal(values: np.ndarray) -> np.ndarray:
    return onto_ring((counts[:, None] * values[places]) @ metric) + 1e-6 * values

  nearest = ring.astype(np.float64)
  left = onto_ring(sums @ metric) - normal(nearest)
  step, energy = left.copy(), float(left @ left)
  for _ in range(_STEPS):
    if energy < 1e-12:
      break
    image = normal(step)
    share = energy / float(step @ image)
    nearest, left = nearest + share * step, left - share * image
    energy, before = float(left @ left), energy
    step = left + energy / before * step
  return nearest.astype(np.float32)
