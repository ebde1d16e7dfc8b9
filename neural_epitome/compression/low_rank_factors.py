"""The two factors of a kernel of low rank, from its leading directions to its bytes.

The kernel, each output divided by its size, is read as a matrix with one row a tap and
input. Its leading right singular vectors are the directions (Eckart and Young, 1936);
inputs may be left out of it before. Factors are rounded with a scale for each column:
of the left one for every direction, of the right one for every output.
"""

import math
from collections.abc import Mapping

import numpy as np

from neural_epitome.compression import kernel_error
from neural_epitome.compression.storage import Storage
from neural_epitome.epitome.generators import LowRank
from neural_epitome.epitome.sampling import Shape

# Bits of a number of the factors.
BITS = (4, 6, 8)
# Bits a weight above which integers are as small and lose nothing of the rank.
MOST_BITS = 4
# Of more rows and columns than this, the decomposition takes minutes.
_LONGEST = 2048
# What an input that is left out takes in the plan, about.
_LEFT_OUT = 2


def relative(kernel: np.ndarray) -> np.ndarray:
  """A kernel (*window, Cin, Cout), each output divided by its size."""
  return kernel / kernel_error.output_size(kernel)


def directions(rows: np.ndarray) -> np.ndarray | None:
  """Rows of one length, (rank, Cout), the most important one first.

  Args:
    rows: float32 (taps and inputs, Cout).

  Returns:
    None for a matrix that has none, or takes too long.
  """
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


def factors(
  kernel: np.ndarray, generator: LowRank, leading: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """(taps and kept inputs, rank) and (rank, Cout) of a kernel, along its directions."""
  kept = relative(kernel)[..., generator.kept(kernel.shape), :]
  left = kept.reshape(-1, kernel.shape[-1]) @ leading.T
  return left, leading * kernel_error.output_size(kernel)


def product(
  left: np.ndarray, right: np.ndarray, generator: LowRank, shape: Shape
) -> np.ndarray:
  """The kernel of two factors, zeros where inputs are left out."""
  kernel, kept = np.zeros(shape, np.float32), generator.kept(shape)
  kernel[..., kept, :] = (left @ right).reshape(*shape[:-2], len(kept), shape[-1])
  return kernel


def nbytes(generator: LowRank, bits: int, shape: Shape, storage: Storage) -> int:
  """Of a kernel of this shape in a file."""
  tensors: Mapping[str, tuple[int, ...]] = generator.tensors(shape)
  numbers = sum(-(-math.prod(one) * bits // 8) for one in tensors.values())
  scales = 4 * sum(one[-1] for one in tensors.values())
  inputs = _LEFT_OUT * len(generator.without)
  return numbers + scales + inputs + storage.beside(generator, bits)
