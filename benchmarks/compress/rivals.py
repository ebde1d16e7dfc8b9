"""Other ways to store trained kernels small, without data or training, for comparison.

Kernels are float32 `(*window, inputs, outputs)`. Every method takes one kernel, or all
where it divides bytes among them, and says what is read back and what that takes: codes
in as many bits as they need, scales and code books as they are stored.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from benchmarks.compress import code_books
from neural_epitome.compression import half_precision
from neural_epitome.epitome import window_fit
from neural_epitome.epitome.window_fit import Target

_ROUNDS = 20  # of Lloyd's algorithm
_HALVINGS = 30  # of an interval in which a setting is sought

Kernels = Mapping[str, np.ndarray]


class Coded(NamedTuple):
  """Kernels as they are read back, and the bytes that they take."""

  kernels: dict[str, np.ndarray]
  nbytes: float


def each(
  method: Callable[[np.ndarray], tuple[np.ndarray, float]], kernels: Kernels
) -> Coded:
  """A method that takes one kernel, on all of them."""
  made = {name: method(kernel) for name, kernel in kernels.items()}
  return Coded({name: one for name, (one, _) in made.items()}, _total(made))


def _total(made: Mapping[str, tuple[np.ndarray, float]]) -> float:
  return sum(nbytes for _, nbytes in made.values())


def round_to_nearest(kernel: np.ndarray, bits: int) -> tuple[np.ndarray, float]:
  """Integers of so many bits, a float16 scale an output channel."""
  most = 2 ** (bits - 1) - 1
  largest = np.max(np.abs(kernel), axis=tuple(range(kernel.ndim - 1)))
  scale = _float16(largest / most)
  made = np.clip(np.round(kernel / scale), -most, most) * scale
  return made, math.ceil(kernel.size * bits / 8) + 2 * kernel.shape[-1]


def palette(kernel: np.ndarray, levels: int) -> tuple[np.ndarray, float]:
  """k-means of single weights: float16 levels, a float16 scale an output channel."""
  scale = code_books.scale_of(kernel)
  rows = (kernel / scale).reshape(-1, 1)
  target = Target(rows)
  first = window_fit.first_ring(target, levels)
  fit = window_fit.fit(target, first, 0.0, _ROUNDS, bits=16)
  made = fit.ring[fit.starts].reshape(kernel.shape) * scale
  codes = math.ceil(kernel.size * math.log2(levels) / 8)
  return made, codes + 2 * levels + 2 * kernel.shape[-1]


def uniform_scalars(kernels: Kernels, budget: float) -> Coded:
  """One step for all, in units of each kernel's deviation, and ideal entropy coding.

  Bytes are the entropy of each kernel's integers and a byte for each of their values.
  """

  def coded(log_step: float) -> Coded:
    def method(kernel: np.ndarray) -> tuple[np.ndarray, float]:
      step = np.float32(np.exp(log_step) * kernel.std())
      integers = np.round(kernel / step)
      counts = np.unique(integers, return_counts=True)[1]
      bits = float(np.sum(counts * np.log2(kernel.size / counts)))
      return integers * step, bits / 8 + len(counts) + 4

    return each(method, kernels)

  return _largest_within(coded, budget, -6.0, 3.0)


def low_rank(kernels: Kernels, budget: float) -> Coded:
  """int8 factors with a float16 scale a column; ranks by energy lost a byte saved.

  A kernel is cut into a matrix before its outputs or behind its window, whichever
  loses less. Factors are of the singular value decomposition.
  """
  cuts = {name: [_svd(k, axes) for axes in _cuts(k)] for name, k in kernels.items()}

  def coded(log_rate: float) -> Coded:
    made = {}
    for name, kernel in kernels.items():
      options = [_ranked(*svd, math.exp(log_rate)) for svd in cuts[name]]
      _, rows, columns = min(options, key=lambda option: option[0])
      product, nbytes = _int8_product(rows, columns)
      made[name] = product.reshape(kernel.shape), nbytes
    return Coded({name: one for name, (one, _) in made.items()}, _total(made))

  return _largest_within(coded, budget, -25.0, 0.0)


def product_quantised(
  kernel: np.ndarray, size: int, words: int
) -> tuple[np.ndarray, float]:
  """A code book of the kernel's own, for windows of so many weights."""
  book = code_books.fit({"": kernel}, size, words)
  scales = {"": jnp.asarray(book.scales[""])}
  made = np.asarray(book.kernels(jnp.asarray(book.words), scales)[""])
  return made, book.nbytes


def half_rest(rest: Mapping[str, np.ndarray]) -> Coded:
  """What is no kernel, as this package's `best` rule stores it.

  That is float16 where it keeps three digits. Counters, 64 bits in a file, take 32.
  """
  halves = half_precision.halved(rest)
  stored = {
    name: array.astype(np.float16) if name in halves else array
    for name, array in rest.items()
  }
  read = {name: array.astype(rest[name].dtype) for name, array in stored.items()}
  return Coded(read, sum(a.size * min(a.itemsize, 4) for a in stored.values()))


def _float16(scale: np.ndarray) -> np.ndarray:
  """Factors as they are stored, float32; 1 in place of 0."""
  scale = scale.astype(np.float16).astype(np.float32)
  return np.where(scale > 0, scale, np.float32(1))


def _cuts(kernel: np.ndarray) -> list[int]:
  """Axes that make the rows of a matrix."""
  inside = [
    axes
    for axes in range(1, kernel.ndim)
    if 1 < math.prod(kernel.shape[:axes]) < kernel.size
  ]
  return list({math.prod(kernel.shape[:axes]): axes for axes in inside}.values())


def _svd(kernel: np.ndarray, axes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  matrix = kernel.reshape(math.prod(kernel.shape[:axes]), -1)
  return np.linalg.svd(matrix, full_matrices=False)


def _ranked(
  left: np.ndarray, values: np.ndarray, right: np.ndarray, rate: float
) -> tuple[float, np.ndarray, np.ndarray]:
  """Factors whose every rank saves more error than its bytes cost; and that sum."""
  energy = values**2 / np.sum(values**2)
  price = rate * (len(left) + right.shape[1] + 4)
  rank = max(1, int(np.sum(energy > price)))
  root = np.sqrt(values[:rank])
  loss = float(energy[rank:].sum() + rank * price)
  return loss, left[:, :rank] * root, right[:rank].T * root


def _int8_product(rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, float]:
  (first, a), (second, b) = round_to_nearest(rows, 8), round_to_nearest(columns, 8)
  return first @ second.T, a + b


def _largest_within(
  coded: Callable[[float], Coded], budget: float, low: float, high: float
) -> Coded:
  """The largest that fits, of what a growing setting makes smaller."""
  best = coded(high)
  for _ in range(_HALVINGS):
    middle = (low + high) / 2
    tried = coded(middle)
    if tried.nbytes <= budget:
      best, high = tried, middle
      if tried.nbytes > 0.997 * budget:
        break
    else:
      low = middle
  return best
