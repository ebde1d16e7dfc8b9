"""The error of a kernel: what a layer's output has of noise.

It is the squared difference of the kernel, each output relative to its own size, and
neighbouring taps weighted together, since what they read is alike. Without data, inputs
are taken for smooth: the correlation of two taps is `SMOOTHNESS` to the power of their
distance. With the second moments of what a layer reads it is the error of what the
layer makes of that, see `epitome.error_feedback`.
"""

import functools
import math
from collections.abc import Callable

import numpy as np

from neural_epitome.epitome.error_feedback import Inputs
from neural_epitome.epitome.generators import WindowedEpitome
from neural_epitome.epitome.sampling import Shape

SMOOTHNESS = 0.4
# Sizes below it count as zero: factors of integers do not become so small.
_SMALLEST = 1e-16


def tap_correlation(taps: Shape) -> np.ndarray:
  """What differences of two taps count together, (taps, taps) in row-major order."""
  parts = [
    SMOOTHNESS ** np.abs(np.subtract.outer(np.arange(n), np.arange(n))) for n in taps
  ]
  return functools.reduce(np.kron, parts, np.ones((1, 1)))


def error(kernel: np.ndarray, made: np.ndarray, inputs: Inputs | None = None) -> float:
  """The relative squared error of a kernel, see the module; 0 for zeros."""
  return error_of(kernel, inputs)(made)


def error_of(
  kernel: np.ndarray, inputs: Inputs | None = None
) -> Callable[[np.ndarray], float]:
  """`error` of one kernel, for many that are made for it."""
  scale = output_size(kernel)
  metric = tap_correlation(kernel.shape[:-2]).astype(np.float32)

  def energy(array: np.ndarray) -> float:
    if inputs is not None:
      return inputs.energy((array / scale).reshape(-1, kernel.shape[-1]))
    rows = (array / scale).reshape(len(metric), -1)
    return float(np.vdot(rows, metric @ rows))

  whole = energy(kernel)
  return lambda made: energy(made - kernel) / whole if whole > 0 else 0.0


def output_size(kernel: np.ndarray) -> np.ndarray:
  """The root mean square of every output, (Cout,); 1 of one of zeros."""
  axes = tuple(range(kernel.ndim - 1))
  scale = np.sqrt(np.mean(np.square(kernel, dtype=np.float64), axis=axes))
  return np.where(scale > _SMALLEST, scale, 1.0).astype(np.float32)


def window_metric(generator: WindowedEpitome, shape: Shape) -> np.ndarray | None:
  """What differences of a window of taps count; None where all count alike."""
  extents = generator.extents(shape)
  if math.prod(extents[:-2]) == 1 or math.prod(extents[-2:]) > 1:
    return None
  return tap_correlation(extents[:-2])
