"""Low ranks of a kernel in integers of few bits, compared and stored.

The directions of all its rows (see `low_rank_factors`) are had once, and every rank
takes the first of them.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from neural_epitome.compression import kernel_error, low_rank_factors, output_scales
from neural_epitome.compression.choice import Choice, Stored
from neural_epitome.compression.low_rank_factors import BITS, MOST_BITS
from neural_epitome.compression.storage import Storage
from neural_epitome.epitome import rounding
from neural_epitome.epitome.error_feedback import Inputs
from neural_epitome.epitome.generators import LowRank

# From one rank that is tried to the next.
_STEP = math.sqrt(2)


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
  rows = low_rank_factors.relative(kernel).reshape(-1, kernel.shape[-1])
  directions = low_rank_factors.directions(rows)
  if directions is None:
    return
  generators = map(LowRank, _ranks(kernel, len(directions)))
  yield from of_generators(
    kernel, outputs, error_of_sample, storage, generators, directions
  )


def of_generators(
  kernel: np.ndarray,
  outputs: slice,
  error_of_sample: Callable[[np.ndarray], float],
  storage: Storage,
  generators: Iterable[LowRank],
  directions: np.ndarray,
  most: float = math.inf,
) -> Iterator[Choice]:
  """What generators of the same inputs and directions make of a kernel, in all bits.

  Args:
    kernel: all of it.
    outputs: of the sample.
    error_of_sample: the error of these outputs.
    storage: what is stored for.
    generators: the same inputs are left out of all.
    directions: at least as many as the largest rank.
    most: factor by which outputs are made larger at most, see `output_scales`; without
      a bound, what explains little of an output counts as far worse than nothing.
  """
  generators = list(generators)
  largest = max((one.rank for one in generators), default=0)
  if not largest:
    return
  left, right = low_rank_factors.factors(kernel, generators[0], directions[:largest])
  sample = (*kernel.shape[:-1], outputs.stop - outputs.start)
  for bits in BITS:
    columns = rounding.nearest(left, bits)
    for generator in generators:
      rank = generator.rank
      nbytes = low_rank_factors.nbytes(generator, bits, kernel.shape, storage)
      if nbytes > kernel.size * MOST_BITS / 8:
        continue
      rows = rounding.nearest(right[:rank], bits)[:, outputs]
      made = low_rank_factors.product(columns[:, :rank], rows, generator, sample)
      scales = output_scales.shrinkage(kernel[..., outputs], made, most)
      error = error_of_sample(made * scales)
      yield Choice(generator, bits, error, nbytes, directions=directions[:rank])


def store(kernel: np.ndarray, choice: Choice, inputs: Inputs | None = None) -> Stored:
  """A kernel as it is stored when it is chosen so."""
  generator, directions = choice.generator, choice.directions
  assert isinstance(generator, LowRank)
  assert directions is not None  # `compare` gives them
  shape = kernel.shape
  left, right = low_rank_factors.factors(kernel, generator, directions)

  def made(right: np.ndarray) -> np.ndarray:
    columns, rows = (rounding.nearest(one, choice.bits) for one in (left, right))
    return low_rank_factors.product(columns, rows, generator, shape)

  right = right * output_scales.shrinkage(
    kernel, made(right), output_scales.MOST_SHRINKAGE
  )
  error = kernel_error.error(kernel, made(right), inputs)
  left = left.reshape(generator.tensors(shape)["left"])
  return Stored(
    dataclasses.replace(choice, error=error), {"left": left, "right": right}, {}
  )


def _ranks(kernel: np.ndarray, most: int) -> list[int]:
  sides = kernel.size // kernel.shape[-1] + kernel.shape[-1]
  # Beyond, not even the fewest bits are less than those of integers.
  most = min(most, kernel.size * MOST_BITS // (min(BITS) * sides))
  ranks, rank = [], 1.0
  while round(rank) <= most:
    ranks.append(round(rank))
    rank = max(rank * _STEP, round(rank) + 1)
  return ranks
