"""Every way that is known to store one kernel, with its error and its bytes."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np

from neural_epitome.compression import (
  collaborative_choices,
  hull,
  kernel_error,
  low_rank_choices,
  output_scales,
  scalar_choices,
  window_choices,
  window_feedback,
  window_shapes,
)
from neural_epitome.compression.choice import Choice, Stored
from neural_epitome.compression.storage import COMPACT, Storage
from neural_epitome.epitome import rounding
from neural_epitome.epitome.error_feedback import Inputs
from neural_epitome.epitome.generators import Dense, LowRank, WindowedEpitome
from neural_epitome.errors import UserError

# Which ways are compared: all, or integers and what Collaborative Compression makes.
Ways = Literal["best", "collaborative"]
WAYS: tuple[Ways, ...] = get_args(Ways)

# Weights on which choices are compared; the chosen one is fitted to the whole kernel.
_SAMPLE = 150_000
_DENSE_BITS = (1, 2, 3, 4, 5, 6, 8, 16)


def check(ways: Any) -> None:
  """Raises UserError unless such ways are known."""
  if ways not in WAYS:
    raise UserError(f"rule={ways!r} must be {', '.join(map(repr, WAYS))} or a Rule.")


def compare(
  kernel: np.ndarray,
  storage: Storage = COMPACT,
  inputs: Inputs | None = None,
  ways: Ways = "best",
) -> list[Choice]:
  """All choices of a kernel, float32 (*window, Cin, Cout), for a format.

  With what the kernel reads, errors are those of its outputs. Of windows, choices that
  are no good without error feedback are left out then.
  """
  outputs = _sample(kernel)
  sample = kernel[..., outputs]
  error_of_sample = kernel_error.error_of(sample, inputs)
  largest = float(np.max(np.abs(kernel)))
  choices = [
    _dense(kernel, sample, bits, error_of_sample, storage)
    for bits in _DENSE_BITS
    if bits != 16 or largest <= output_scales.LARGEST_HALF
  ]
  if ways == "collaborative":
    return choices + list(
      collaborative_choices.compare(kernel, outputs, error_of_sample, storage)
    )
  choices += low_rank_choices.compare(kernel, outputs, error_of_sample, storage)
  alone = error_of_sample if inputs is None else kernel_error.error_of(sample)
  of_windows = list(scalar_choices.compare(kernel, sample, alone, storage))
  for generator in window_shapes.generators(sample, storage.is_coded):
    of_windows += window_choices.compare(
      sample, generator, kernel.shape, alone, storage
    )
  if inputs is not None:
    of_windows = [
      window_feedback.compared(sample, choice, kernel.shape, inputs, storage)
      for choice in hull.lower(of_windows)
    ]
  return choices + of_windows


def _sample(kernel: np.ndarray) -> slice:
  """Some neighbouring outputs of a kernel."""
  outputs = kernel.shape[-1]
  count = min(outputs, max(16, _SAMPLE * outputs // kernel.size))
  begin = (outputs - count) // 2
  return slice(begin, begin + count)


def store(
  kernel: np.ndarray,
  choice: Choice,
  storage: Storage = COMPACT,
  inputs: Inputs | None = None,
) -> Stored:
  """A kernel as it is stored when it is chosen so; `choice` is one of `compare`."""
  if isinstance(choice.generator, WindowedEpitome):
    return window_choices.store(kernel, choice, storage, inputs)
  if isinstance(choice.generator, LowRank):
    return low_rank_choices.store(kernel, choice, inputs)
  if choice.bits > 1:
    return Stored(choice, {"kernel": kernel}, {})
  made = rounding.nearest(kernel, 1)
  scales = output_scales.shrinkage(kernel, made, output_scales.MOST_SHRINKAGE)
  error = kernel_error.error(kernel, made * scales, inputs)
  return Stored(
    dataclasses.replace(choice, error=error), {"kernel": kernel * scales}, {}
  )


def _dense(
  kernel: np.ndarray,
  sample: np.ndarray,
  bits: int,
  error_of_sample: Callable[[np.ndarray], float],
  storage: Storage,
) -> Choice:
  made = rounding.nearest(sample, bits)
  if bits == 1:  # a least squares, which has less energy than the kernel
    made = made * output_scales.shrinkage(sample, made, math.inf)
  factors = 4 * kernel.shape[-1] if bits <= 8 else 0
  nbytes = -(-kernel.size * bits // 8) + factors + storage.beside(Dense(), bits)
  return Choice(Dense(), bits, error_of_sample(made), nbytes)
