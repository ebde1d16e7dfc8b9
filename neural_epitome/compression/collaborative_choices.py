"""Inputs and singular values of a kernel taken away together, step by step.

Collaborative Compression (Li et al., CVPR 2021, arXiv 2105.11228): pruning of channels
and low rank compete for what is removed. With the singular vectors d_j of a kernel's
rows A_i, those of input i, the unit (i, j) holds the energy

    E[i, j] = |A_i d_j|^2,

so of what remains a singular value is worth the sum of its column, and an input that of
its row. Each counts relative to the numbers that it takes from the two factors. What is
worth least goes first, and the sums of all others are then without it; after each step
of a number of units the singular vectors are had anew of the inputs that remain, as
each removal changes what the others are worth.

The states on this way, in integers of few bits, are a kernel's errors by its size. How
far each kernel goes follows from one budget for all, as of all choices, see `measured`:
the global optimisation of the paper's compression rates, by their exact Lagrangian.
Where the paper measures what a unit is worth by the loss on data, its energy is that of
the weights here.
"""

from collections.abc import Callable, Iterator

import numpy as np

from neural_epitome.compression import (
  low_rank_choices,
  low_rank_factors,
  output_scales,
)
from neural_epitome.compression.choice import Choice
from neural_epitome.compression.storage import Storage
from neural_epitome.epitome.generators import LowRank

# What a step leaves of a kernel's numbers.
_LEFT = 2**-0.25


def compare(
  kernel: np.ndarray,
  outputs: slice,
  error_of_sample: Callable[[np.ndarray], float],
  storage: Storage,
) -> Iterator[Choice]:
  """Choices of a kernel, float32 (*window, Cin, Cout); see `low_rank_choices.compare`.

  Args:
    kernel: all of it.
    outputs: of the sample.
    error_of_sample: the error of these outputs.
    storage: what is stored for.
  """
  for generator, directions in removals(kernel):
    yield from low_rank_choices.of_generators(
      *(kernel, outputs, error_of_sample, storage, [generator], directions),
      most=output_scales.MOST_SHRINKAGE,
    )


def removals(kernel: np.ndarray) -> Iterator[tuple[LowRank, np.ndarray]]:
  """The states of a kernel from full rank to its last unit, and their directions.

  Args:
    kernel: float32 (*window, Cin, Cout).

  Yields:
    The generator, and directions (rank, Cout), the most important one first.
  """
  relative = low_rank_factors.relative(kernel)
  taps, every = int(np.prod(kernel.shape[:-2])), np.arange(kernel.shape[-2])
  kept, rank = every, min(taps * len(every), kernel.shape[-1])
  while True:
    rows = relative[..., kept, :].reshape(-1, kernel.shape[-1])
    directions = low_rank_factors.directions(rows)
    if directions is None:
      return
    directions = directions[:rank]
    without = np.setdiff1d(every, kept)
    yield LowRank(len(directions), tuple(map(int, without))), directions
    squares = np.square(rows @ directions.T).reshape(taps, len(kept), -1)
    rows_left, rank = remaining(np.sum(squares, 0), taps, kernel.shape[-1])
    if not rank:
      return
    kept = kept[rows_left]


def remaining(
  energies: np.ndarray, taps: int, outputs: int, left: float = _LEFT
) -> tuple[np.ndarray, int]:
  """One step: what remains when the units that are worth least are removed.

  Args:
    energies: float (inputs, rank) of every unit.
    taps: of the kernel.
    outputs: of the kernel.
    left: what remains of the numbers, at most.

  Returns:
    The inputs that remain, int (kept,), and how many singular values; none of either
    where the last one would have to go.
  """
  inputs, values = (np.ones(count, bool) for count in energies.shape)
  of_inputs, of_values = np.sum(energies, 1), np.sum(energies, 0)

  def numbers(inputs: int, values: int) -> int:
    return values * (taps * inputs + outputs)

  most = left * numbers(*energies.shape)
  while numbers(count := int(np.sum(inputs)), rank := int(np.sum(values))) > most:
    if count == 1 and rank == 1:
      return np.empty(0, int), 0
    price = np.where(inputs, of_inputs, np.inf) / (taps * rank)
    value_price = np.where(values, of_values, np.inf) / (taps * count + outputs)
    channel, value = int(np.argmin(price)), int(np.argmin(value_price))
    takes_value = count == 1 or (rank > 1 and value_price[value] <= price[channel])
    if takes_value:
      values[value] = False
      of_inputs = of_inputs - energies[:, value]
    else:
      inputs[channel] = False
      of_values = of_values - energies[channel]
  return np.flatnonzero(inputs), int(np.sum(values))
