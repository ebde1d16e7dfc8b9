"""Windows of a kernel fitted to what its layer makes of examples."""

import dataclasses
from typing import NamedTuple

import numpy as np

from neural_epitome.compression import kernel_error, output_scales, window_bytes
from neural_epitome.compression.choice import Choice
from neural_epitome.compression.storage import Storage
from neural_epitome.epitome import error_feedback, window_fit
from neural_epitome.epitome.error_feedback import Inputs
from neural_epitome.epitome.generators import WindowedEpitome
from neural_epitome.epitome.sampling import Shape

# Of starts, ring and scales, before the ring is rounded; of a sample that is compared.
_ROUNDS, _COMPARED_ROUNDS = 3, 1
# By how much a scale may change in a round: of outputs of zeros it would vanish.
_MOST = 4.0


class Fitted(NamedTuple):
  """Windows as they are stored.

  Attributes:
    fit: ring and starts.
    made: float32, the kernel.
    scale: float32 (Cout,), in float16, or (1,) of 1 where outputs have none.
    gain: which belongs to the ring.
  """

  fit: window_fit.Fit
  made: np.ndarray
  scale: np.ndarray
  gain: np.float32


def compared(
  sample: np.ndarray, choice: Choice, shape: Shape, inputs: Inputs, storage: Storage
) -> Choice:
  """A choice with the error and the bytes that it has with error feedback.

  Args:
    sample: outputs of the kernel.
    choice: of its windows.
    shape: of the kernel.
    inputs: what it reads.
    storage: what is stored for.
  """
  generator = choice.generator
  assert isinstance(generator, WindowedEpitome)
  fit, made, _, _ = _fitted(sample, choice, inputs, _COMPARED_ROUNDS)
  counts = np.bincount(fit.starts, minlength=generator.length)
  starts = fit.starts.reshape(generator.offsets(sample.shape)["start"])
  return dataclasses.replace(
    choice,
    error=kernel_error.error(sample, made, inputs),
    nbytes=window_bytes.expected(generator, shape, choice.bits, starts, storage),
    ring=fit.ring,
    lengths=window_fit.ideal_lengths(counts),
  )


def fit(kernel: np.ndarray, choice: Choice, inputs: Inputs) -> Fitted:
  """Windows of a kernel, float32 (*window, Cin, Cout); see `error_feedback`."""
  return _fitted(kernel, choice, inputs, _ROUNDS)


def _fitted(kernel: np.ndarray, choice: Choice, inputs: Inputs, rounds: int) -> Fitted:
  generator, ring, lengths = choice.generator, choice.ring, choice.lengths
  assert isinstance(generator, WindowedEpitome)
  assert ring is not None
  assert lengths is not None  # `compare` gives both
  extents = generator.extents(kernel.shape)
  _, scale, gain = output_scales.normalised(kernel, generator)
  size = kernel_error.output_size(kernel) if generator.scaled else gain
  for round_ in range(rounds + 1):
    if round_ == rounds:
      ring = window_fit.rounded(ring, choice.bits)
    target = (kernel / (scale * gain)).astype(np.float32)
    prices = choice.penalty * lengths
    starts = error_feedback.assign(inputs, target, extents, ring, prices)
    lengths = window_fit.ideal_lengths(np.bincount(starts, minlength=len(ring)))
    if round_ < rounds:
      worth = np.square(scale * gain / size)
      ring = error_feedback.nearest_ring(inputs, target, extents, starts, ring, worth)
    where = error_feedback.places_read(kernel.shape, extents, starts, len(ring))
    rows = kernel.reshape(where.shape) / gain
    factors = inputs.projection(rows, ring[where], generator.scaled)
    if generator.scaled:
      scale = output_scales.half(np.clip(factors, scale / _MOST, scale * _MOST))
    else:
      gain = np.float32(gain * np.clip(factors[0], 1 / _MOST, _MOST))
  made = (ring[where] * (scale * gain)).reshape(kernel.shape).astype(np.float32)
  return Fitted(window_fit.Fit(ring, starts), made, scale, gain)
