"""Low ranks of a kernel in integers of few bits, compared and stored.

The kernel, each output divided by its size, is read as a matrix with one row a tap and
input. Its leading right singular vectors, the directions, are had once, and every rank
takes the first of them (Eckart and Young, 1936). Factors are rounded with a scale for
each column: of the left one for every direction, of the right one for every output.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from neural_epitome.compression import kernel_error, output_scales
from neural_epitome.compression.choice import Choice, Stored
from neural_epitome.compression.storage import Storage
from neural_epitome.epitome.error_feedback import Inputs
from neural_epitome.epitome.generators import LowRank

_BITS = (4, 6, 8)
# From one rank that is tried to the next.
_STEP = math.sqrt(2)
# Of more rows and columns than this, the decomposition takes minutes.
_LONGEST = 2048
# Bits a weight above which integers are as small and lose nothing of the rank.
_MOST_BITS = 4
# Factors of integers do not become so small.
_SMALLEST = 1e-18


def compare(
  kernel: np.ndarray,
  outputs: slice,
  error_of_sample: Callable[[np.ndarray], float],
  storage: Storage,
) -> Iterator[Choice]:
  """Choices of a kernel, float32 (*window, Cin, Cout).

  Args:
    kernel: all of it.
    outputs: of the sample.
    error_of_sample: the error of these outputs.
    storage: what is stored for.
  """
  directions = _directions(kernel)
  if directions is None:
    return
  ranks = _ranks(kernel, len(directions))
  left, right = _factors(kernel, _rows(kernel), directions[: max(ranks, default=0)])
  sample = (*kernel.shape[:-1], outputs.stop - outputs.start)
  for bits in _BITS:
    columns = _rounded(left, bits)
    for rank in ranks:
      generator = LowRank(rank)
      nbytes = _nbytes(generator, bits, kernel.shape, storage)
      if nbytes > kernel.size * _MOST_BITS / 8:
        continue
      made = columns[:, :rank] @ _rounded(right[:rank], bits)[:, outputs]
      made = made.reshape(sample)
      factors = output_scales.shrinkage(kernel[..., outputs], made, math.inf)
      error = error_of_sample(made * factors)
      yield Choice(generator, bits, error, nbytes, directions=directions[:rank])


def store(kernel: np.ndarray, choice: Choice, inputs: Inputs | None = None) -> Stored:
  """A kernel as it is stored when it is chosen so."""
  assert choice.directions is not None  # `compare` gives them
  left, right = _factors(kernel, _rows(kernel), choice.directions)
  made = _rounded(left, choice.bits) @ _rounded(right, choice.bits)
  right = right * output_scales.shrinkage(
    kernel, made.reshape(kernel.shape), output_scales.MOST_SHRINKAGE
  )
  made = _rounded(left, choice.bits) @ _rounded(right, choice.bits)
  error = kernel_error.error(kernel, made.reshape(kernel.shape), inputs)
  tensors = {"left": left.reshape(*kernel.shape[:-1], -1), "right": right}
  return Stored(dataclasses.replace(choice, error=error), tensors, {})


def _directions(kernel: np.ndarray) -> np.ndarray | None:
  """Rows of one length, (rank, Cout), the most important one first."""
  rows = _rows(kernel)
  if min(rows.shape) > _LONGEST or min(rows.shape) < 2:
    return None
  is_tall = len(rows) >= rows.shape[1]
  gram = rows.T @ rows if is_tall else rows @ rows.T
  values, vectors = np.linalg.eigh(gram.astype(np.float64))
  used = np.flatnonzero(values > 1e-7 * max(values[-1], 1e-30))[::-1]
  if not len(used):
    return None
  vectors = vectors[:, used].T
  if is_tall:
    return vectors.astype(np.float32)
  return (vectors @ rows / np.sqrt(values[used])[:, None]).astype(np.float32)


def _rows(kernel: np.ndarray) -> np.ndarray:
  scaled = kernel / kernel_error.output_size(kernel)
  return scaled.reshape(-1, kernel.shape[-1])


def _ranks(kernel: np.ndarray, most: int) -> list[int]:
  sides = kernel.size // kernel.shape[-1] + kernel.shape[-1]
  # Beyond, not even the fewest bits are less than those of integers.
  most = min(most, kernel.size * _MOST_BITS // (min(_BITS) * sides))
  ranks, rank = [], 1.0
  while round(rank) <= most:
    ranks.append(round(rank))
    rank = max(rank * _STEP, round(rank) + 1)
  return ranks


def _factors(
  kernel: np.ndarray, rows: np.ndarray, directions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """(taps and inputs, rank) and (rank, Cout)."""
  return rows @ directions.T, directions * kernel_error.output_size(kernel)


def _rounded(array: np.ndarray, bits: int) -> np.ndarray:
  """See `rounding.straight_through`, which would be compiled for every rank."""
  most = 2 ** (bits - 1) - 1
  factors = np.max(np.abs(array), axis=0, keepdims=True) / np.float32(most)
  factors = np.where(factors < _SMALLEST, np.float32(1), factors)
  return np.round(array / factors) * factors


def _nbytes(
  generator: LowRank, bits: int, shape: tuple[int, ...], storage: Storage
) -> int:
  tensors: Mapping[str, tuple[int, ...]] = generator.tensors(shape)
  numbers = sum(-(-math.prod(one) * bits // 8) for one in tensors.values())
  factors = 4 * sum(one[-1] for one in tensors.values())
  return numbers + factors + storage.beside(generator, bits)
