"""How a kernel reads its epitome, as arrays to be drawn. NumPy only, no figures."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

Offsets = Mapping[str, np.ndarray]
Shape = tuple[int, ...]


def palette(inputs: int, outputs: int) -> np.ndarray:
  """A colour for every channel pair of an epitome: (Ci, Co, 3) in [0, 1].

  Both axes are circular and so are the colours: the hue goes round once along the
  output channels, lightness and chroma once round an ellipse along the input ones.
  """
  around = 2 * np.pi * np.arange(outputs) / outputs
  along = 2 * np.pi * np.arange(inputs)[:, None] / inputs
  lightness = 0.57 + 0.26 * np.cos(along)
  chroma = 0.21 + 0.09 * np.sin(along)
  shades = [around - phase for phase in (0.0, 2 * np.pi / 3, 4 * np.pi / 3)]
  colours = [lightness + chroma * np.cos(shade) for shade in shades]
  return np.clip(np.stack(colours, axis=-1), 0.0, 1.0)


def read_along(values: np.ndarray, start: float, count: int, axis: int) -> np.ndarray:
  """Reads `count` cells from a fractional `start` on along a circular axis."""
  cells = values.shape[axis]
  cell = int(np.floor(start))
  fraction = start - cell
  here = (cell + np.arange(count)) % cells
  there = (here + 1) % cells
  near, far = np.take(values, here, axis), np.take(values, there, axis)
  return (1.0 - fraction) * near + fraction * far


def blocks(
  offsets: Offsets, shape: Shape, epitome_shape: Shape
) -> Iterator[tuple[slice, slice, float, float]]:
  """The replicas of a kernel.

  Args:
    offsets: routing map of one layer, factorised or blockwise (see
      `epitome.sampling`).
    shape: of the kernel.
    epitome_shape: of its epitome.

  Yields:
    The replica's input channels and output channels in the kernel, and where each
    starts in the epitome.
  """
  (inputs, outputs), (cells_in, cells_out) = shape[-2:], epitome_shape[-2:]
  for row in range(-(-inputs // cells_in)):
    for column in range(-(-outputs // cells_out)):
      first_in, first_out = row * cells_in, column * cells_out
      yield (
        slice(first_in, min(first_in + cells_in, inputs)),
        slice(first_out, min(first_out + cells_out, outputs)),
        _start(offsets, "input", row, column),
        _start(offsets, "output", row, column),
      )


def _start(offsets: Offsets, axis: str, row: int, column: int) -> float:
  values = offsets.get(axis)
  if values is None:
    return 0.0
  if values.ndim == 2:
    return float(values[row, column])
  return float(values[row if axis == "input" else column])


def painted(offsets: Offsets, shape: Shape, epitome_shape: Shape) -> np.ndarray:
  """The kernel in the colours of the epitome it reads: (Cin, Cout, 3)."""
  colours = palette(*epitome_shape[-2:])
  kernel = np.zeros((*shape[-2:], 3))
  for rows, columns, start_in, start_out in blocks(offsets, shape, epitome_shape):
    read = read_along(colours, start_in, rows.stop - rows.start, axis=0)
    kernel[rows, columns] = read_along(
      read, start_out, columns.stop - columns.start, axis=1
    )
  return kernel


def windows(offsets: Offsets, shape: Shape, epitome_shape: Shape) -> np.ndarray:
  """Start of the kernel's window inside the epitome's: (replicas, window axes)."""
  room = np.array(epitome_shape[:-2]) - np.array(shape[:-2])
  starts = offsets.get("spatial")
  if starts is None:
    return np.zeros((1, len(room)))
  return np.clip(np.asarray(starts).reshape(-1, len(room)), 0, room)


def layers(routing: Any, path: str = "") -> dict[str, Offsets]:
  """Routing maps by layer path, from a `routing` collection on the host."""
  if "map" in routing:
    return {path: {axis: np.asarray(v) for axis, v in routing["map"].items()}}
  maps: dict[str, Offsets] = {}
  for name, value in routing.items():
    maps |= layers(value, f"{path}/{name}" if path else name)
  return maps
