"""Windows of a kernel on rings of its own, compared and stored."""

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np

from neural_epitome.compression import (
  entropy_coding,
  kernel_error,
  output_scales,
  window_bytes,
  window_feedback,
)
from neural_epitome.compression.choice import Choice, Stored
from neural_epitome.compression.storage import Storage
from neural_epitome.epitome import window_fit
from neural_epitome.epitome.error_feedback import Inputs
from neural_epitome.epitome.generators import WindowedEpitome
from neural_epitome.epitome.sampling import Shape

# Squared error of a weight of variance 1 that a bit may save.
PENALTIES = (0.003, 0.01, 0.03, 0.08, 0.18, 0.35, 0.7, 1.4)
_FIRST_ROUNDS, _NEXT_ROUNDS, _LAST_ROUNDS = 6, 3, 8
# Where no start is shorter than another, there is nothing to save and one fit to make.
_PACKED_PENALTIES, _PACKED_ROUNDS = (0.0,), 12


def store(
  kernel: np.ndarray,
  choice: Choice,
  storage: Storage,
  inputs: Inputs | None = None,
) -> Stored:
  """A kernel as it is stored when it is chosen so."""
  assert isinstance(choice.generator, WindowedEpitome)
  generator = choice.generator
  assert choice.ring is not None  # `compare` gives one
  if inputs is None:
    rows, scale, gain = output_scales.normalised(kernel, generator)
    metric = kernel_error.window_metric(generator, kernel.shape)
    target = window_fit.Target(rows, metric)
    # In context, starts are not as long as their frequencies alone make them: rounds
    # that go by these would lose more than was compared.
    rounds = _LAST_ROUNDS if generator.context is None else 0
    fit = window_fit.fit(
      target, choice.ring, choice.penalty, rounds, choice.bits, choice.lengths
    )
    made, scale, gain = output_scales.unbiased(generator, fit, scale, gain, kernel)
  else:
    fit, made, scale, gain = window_feedback.fit(kernel, choice, inputs)
  starts = fit.starts.reshape(generator.offsets(kernel.shape)["start"])
  coded = len(entropy_coding.encode(starts, generator.length, generator.context))
  packed = dataclasses.replace(generator, coded_bytes=None, context=None)
  packed_bytes = packed.offset_bytes("start", kernel.shape)
  starts_bytes = min(packed_bytes, coded) if storage.is_coded else packed_bytes
  if packed_bytes <= coded:
    generator = packed
  else:
    generator = dataclasses.replace(generator, coded_bytes=coded)
  tensors = {"ring": fit.ring * gain} | ({"scale": scale} if generator.scaled else {})
  nbytes = starts_bytes + window_bytes.beside(
    generator, kernel.shape, choice.bits, storage
  )
  exact = dataclasses.replace(
    choice,
    generator=generator,
    error=kernel_error.error(kernel, made, inputs),
    nbytes=nbytes,
  )
  return Stored(exact, tensors, {"start": starts.astype(np.int32)})


def compare(
  sample: np.ndarray,
  generator: WindowedEpitome,
  shape: Shape,
  error_of_sample: Callable[[np.ndarray], float],
  storage: Storage,
) -> Iterator[Choice]:
  """A generator with fewer and fewer bits, priced for a kernel of this shape."""
  rows, scale, gain = output_scales.normalised(sample, generator)
  target = window_fit.Target(rows, kernel_error.window_metric(generator, shape))
  bits = 16 if math.prod(generator.window) == 1 and gain == 1 else 8
  ring, lengths = window_fit.first_ring(target, generator.length), None
  penalties, rounds = PENALTIES, _FIRST_ROUNDS
  if not storage.is_coded:
    penalties, rounds = _PACKED_PENALTIES, _PACKED_ROUNDS
  for penalty in penalties:
    fit = window_fit.fit(target, ring, penalty, rounds, bits, lengths)
    counts = np.bincount(fit.starts, minlength=generator.length)
    starts = fit.starts.reshape(generator.offsets(sample.shape)["start"])
    yield Choice(
      generator,
      bits,
      # Without a bound, so that what is ruined does not look cheap.
      error_of_sample(
        output_scales.unbiased(generator, fit, scale, gain, sample, math.inf)[0]
      ),
      window_bytes.expected(generator, shape, bits, starts, storage),
      penalty,
      fit.ring,
      window_fit.ideal_lengths(counts),
    )
    ring, lengths, rounds = fit.ring, window_fit.ideal_lengths(counts), _NEXT_ROUNDS
