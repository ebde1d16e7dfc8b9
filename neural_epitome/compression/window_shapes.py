"""Which windows of a kernel, and rings of which length, are worth a try."""

import math
from collections.abc import Iterator

import numpy as np

from neural_epitome.epitome import windows
from neural_epitome.epitome.generators import WindowedEpitome
from neural_epitome.epitome.sampling import Shape

_SPATIAL = 25  # taps of a window that covers all of a kernel's
# Weights of a window in a row, and numbers of the ring that it is read from.
_RUNS = ((2, 64), (4, 256), (8, 256), (8, 1024), (16, 1024))
_PALETTES = (16, 64)
# The same where starts are packed: what they take follows from the ring alone. Beside a
# few whole bits they fill bytes, whose operators in a graph are the fewest.
_PACKED_RUNS = (
  *((2, 64), (2, 256), (2, 1024), (4, 64), (4, 256), (4, 1024)),
  *((8, 64), (8, 256), (8, 1024), (16, 256), (16, 1024)),
)
_PACKED_PALETTES = (4, 8, 16, 32, 64)
_OF_TAPS, _PACKED_OF_TAPS = (128, 512, 2048), (64, 256, 1024)
# A ring that is not much shorter than what it makes does not pay.
_FEWEST_WINDOWS = 4
# Correlation of neighbours from which windows along an axis are tried.
_ALIKE = 0.15


def generators(kernel: np.ndarray, is_coded: bool = True) -> Iterator[WindowedEpitome]:
  """One for each of them; axes whose neighbours are alike are walked along.

  Args:
    kernel: float32 (*window, Cin, Cout).
    is_coded: whether starts may be entropy coded; other rings pay then.
  """
  palettes = _PALETTES if is_coded else _PACKED_PALETTES
  runs = _RUNS if is_coded else _PACKED_RUNS
  of_taps = _OF_TAPS if is_coded else _PACKED_OF_TAPS
  shape = kernel.shape
  ones = (1,) * len(shape)
  shapes: list[tuple[Shape, int]] = [(ones, length) for length in palettes]
  taps = shape[:-2]
  is_spatial = sum(n > 1 for n in taps) > 1 and math.prod(taps) <= _SPATIAL
  if is_spatial:
    shapes += [((*taps, 1, 1), length) for length in of_taps]
  for axis in _axes(kernel, is_spatial):
    for size, length in runs:
      extent = min(size, shape[axis])
      extents = tuple(extent if a == axis else 1 for a in range(len(shape)))
      shapes.append((extents, length))
  seen = set()
  for extents, length in shapes:
    count = math.prod(windows.counts(shape, extents))
    if (extents, length) in seen or count < _FEWEST_WINDOWS * length / 2:
      continue
    if length > kernel.size or math.prod(extents) > length:
      continue
    seen.add((extents, length))
    yield WindowedEpitome(length, extents, scaled=extents[-1] == 1, coded_bytes=0)


def _axes(kernel: np.ndarray, is_spatial: bool) -> list[int]:
  """Those along which neighbours are alike, or the longest where none are."""
  axes = range(len(kernel.shape))
  lines = [
    a for a in axes if kernel.shape[a] > 1 and not (is_spatial and a < len(axes) - 2)
  ]
  alike = {axis: _correlation(kernel, axis) for axis in lines}
  best = [axis for axis in lines if abs(alike[axis]) > _ALIKE]
  if best or not lines:
    return sorted(best, key=lambda axis: -abs(alike[axis]))[:2]
  return (
    []
    if is_spatial
    else [max(lines, key=lambda axis: kernel.shape[axis] * (axis < len(axes) - 1))]
  )


def _correlation(kernel: np.ndarray, axis: int) -> float:
  rows = np.moveaxis(kernel, axis, 0).astype(np.float64)
  energy = float(np.vdot(rows[:-1], rows[:-1]) * np.vdot(rows[1:], rows[1:]))
  return float(np.vdot(rows[:-1], rows[1:])) / math.sqrt(energy) if energy else 0.0
