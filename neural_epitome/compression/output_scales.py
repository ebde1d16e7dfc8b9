"""Scales of outputs: what makes windows alike, and gives outputs their size back."""

import math

import numpy as np

from neural_epitome.compression import kernel_error
from neural_epitome.epitome import window_fit, windows
from neural_epitome.epitome.generators import WindowedEpitome

# Sizes of outputs that float16 keeps to three digits, and the largest number it has.
_HALF_SIZES = (1e-4, 1e4)
LARGEST_HALF = 65504.0
# Outputs are not made larger than by this factor: what explains less is noise.
MOST_SHRINKAGE = 1.5


def half(scale: np.ndarray) -> np.ndarray:
  """float32 scales as float16 keeps them; 1 in place of 0."""
  scale = (
    np.minimum(scale, np.finfo(np.float16).max).astype(np.float16).astype(np.float32)
  )
  return np.where(scale > 0, scale, np.float32(1.0))


def shrinkage(kernel: np.ndarray, made: np.ndarray, most: float) -> np.ndarray:
  """By what each output of a kernel has become too small, float32 (Cout,), at least 1.

  A least squares explains a part of the kernel's energy and has no more than that. So
  every layer's output shrinks, and biases and statistics do not follow. Multiplied with
  this, the output has the right size on average, and a little more noise.
  """
  axes = tuple(range(kernel.ndim - 1))
  whole = np.sum(np.square(kernel, dtype=np.float64), axis=axes)
  explained = np.sum(np.multiply(kernel, made, dtype=np.float64), axis=axes)
  is_explained = explained > 1e-6 * whole
  ratio = whole / np.where(is_explained, explained, 1.0)
  ratio = np.where(is_explained, ratio, 1.0)
  return np.clip(ratio, 1.0, most).astype(np.float32)


def normalised(
  kernel: np.ndarray, generator: WindowedEpitome
) -> tuple[np.ndarray, np.ndarray, np.float32]:
  """Windows of variance about 1, and what brings them back.

  Returns:
    The windows; a scale an output, in float16, or (1,) of 1 where the generator has
    none; and a gain of all, which belongs to the ring.
  """
  if not generator.scaled:
    scale, gain = (
      np.ones(1, np.float32),
      kernel_error.output_size(kernel.reshape(-1, 1))[0],
    )
  else:
    scale, gain = kernel_error.output_size(kernel), np.float32(1.0)
    least, most = _HALF_SIZES
    if not least < np.median(scale) < most or np.max(scale) > LARGEST_HALF:
      gain = np.max(scale)
    scale = half(scale / gain)
  rows = windows.apart(kernel / scale / gain, generator.extents(kernel.shape))
  return rows.astype(np.float32), scale, gain


def unbiased(
  generator: WindowedEpitome,
  fit: window_fit.Fit,
  scale: np.ndarray,
  gain: np.float32,
  kernel: np.ndarray,
  most: float = MOST_SHRINKAGE,
) -> tuple[np.ndarray, np.ndarray, np.float32]:
  """The kernel that is made, its scale and its gain, none of them shrunk.

  Outputs are made larger by the factor `most` at most.
  """
  rows, extents = fit.rows(math.prod(generator.window)), generator.extents(kernel.shape)
  made = windows.together(rows, kernel.shape, extents)
  if generator.scaled:
    scale = half(scale * shrinkage(kernel, made * (scale * gain), most))
  else:
    rows, made_rows = kernel.reshape(-1, 1), (made * gain).reshape(-1, 1)
    gain = gain * shrinkage(rows, made_rows, most)[0]
  return made * (scale * gain), scale, gain
