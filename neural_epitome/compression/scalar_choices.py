"""Single weights of a kernel at evenly spaced levels, coded in the context of another.

Even levels and an entropy code are nearly the best that single numbers can be stored
in (Gish and Pierce, 1968, "Asymptotically efficient quantizing"), and neighbours of a
trained kernel are alike in sign and size: the level of the weight before, along the
axis where it tells most, says how likely the next one is.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np

from neural_epitome.compression import kernel_error, output_scales, window_bytes
from neural_epitome.compression.choice import Choice
from neural_epitome.compression.storage import Storage
from neural_epitome.epitome import window_fit
from neural_epitome.epitome.generators import WindowedEpitome

# Between levels, in root mean squares of an output.
_STEPS = (0.06, 0.09, 0.13, 0.19, 0.27, 0.38, 0.54, 0.76, 1.08, 1.5)
_MOST_LEVELS = 256
# Squared error of a step that a bit may save: the slope of even levels' error by bits,
# 2 ln 2 / 12.
_PRICE = 0.1155
_ROUNDS = 2


def compare(
  kernel: np.ndarray,
  sample: np.ndarray,
  error_of_sample: Callable[[np.ndarray], float],
  storage: Storage,
) -> Iterator[Choice]:
  """A choice a step, of a kernel, float32 (*window, Cin, Cout), by a sample of it.

  Args:
    kernel: all of it.
    sample: some outputs.
    error_of_sample: the error of these.
    storage: what is stored for; nothing is tried where codes cannot be.
  """
  if not storage.is_coded:
    return
  shape, ones = kernel.shape, (1,) * kernel.ndim
  rows, scale, gain = output_scales.normalised(sample, WindowedEpitome(1, ones))
  target = window_fit.Target(rows)
  largest = float(np.max(np.abs(kernel) / kernel_error.output_size(kernel)))
  bits = 16 if gain == 1 else 8
  for step in _STEPS:
    half = math.ceil(largest / step)
    length = 2 * half + 1
    if length > min(_MOST_LEVELS, kernel.size // 4):
      continue
    ring = (step * np.arange(-half, half + 1)).astype(np.float32)
    penalty = _PRICE * step**2
    fit = window_fit.fit(target, ring, penalty, _ROUNDS, bits)
    starts = fit.starts.reshape(sample.shape)
    axis, _, _ = window_bytes.context(starts, length)
    generator = WindowedEpitome(length, ones, coded_bytes=0, context=axis)
    made = output_scales.unbiased(generator, fit, scale, gain, sample, math.inf)[0]
    nbytes = window_bytes.expected(generator, shape, bits, starts, storage)
    lengths = window_fit.ideal_lengths(np.bincount(fit.starts, minlength=length))
    yield Choice(
      generator, bits, error_of_sample(made), nbytes, penalty, fit.ring, lengths
    )
