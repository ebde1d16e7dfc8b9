"""What the operations of two cells cost in a network, and exchanges that cost no more.

Parameters and multiply-adds are counted as by Guo et al. (arXiv 2102.10301, figure of
operations): kernels alone; a separable convolution is twice a depthwise and a 1x1 one,
a dilated one once; a pool takes its window's size a number, a skip one. A skip with
stride 2 is two 1x1 convolutions on half the channels each. Stem, the 1x1 convolutions
at a cell's inputs and the classifier are the same whatever the operations, and are not
counted.
"""

import dataclasses
import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from neural_epitome.domains import Count, Domain
from neural_epitome.errors import FileError, UserError
from neural_epitome.models.cell_network import Place, places
from neural_epitome.models.cell_operations import NAMES, OPERATIONS, Operation
from neural_epitome.models.cells import INPUTS, Cell, Cells

# Sums of savings stay below 2^31 with as many edges.
_MOST_EDGES = 256
_MOST_UNITS = 2**31 // (2 * _MOST_EDGES)


@dataclasses.dataclass(frozen=True)
class CellFrame:
  """A network but for its two cells.

  See `models.cell_network`.

  Attributes:
    cells: how many.
    channels: of a node in the first cell.
    image_size: height and width of the images.
  """

  cells: Count = 8
  channels: Count = 16
  image_size: Annotated[int, Domain(least=4, most=65535)] = 32

  @functools.cached_property
  def places(self) -> tuple[tuple[Place, int], ...]:
    """Every cell and the height and width of its nodes, from the first."""
    size, found = self.image_size, []
    for place in places(self.cells, self.channels):
      size = -(-size // 2) if place.is_reduction else size
      found.append((place, size))
    return tuple(found)


def operation_price(
  operation: Operation, channels: int, size: int, stride: int
) -> tuple[int, int]:
  """Parameters and multiply-adds of an operation.

  Args:
    operation: which.
    channels: of input and output.
    size: height and width of the output.
    stride: 1 or 2.
  """
  pixels, window = size * size, operation.kernel**2
  separable = channels * window + channels * channels
  kernels = {
    "conv": channels * channels * window,
    "sep_conv": 2 * separable,
    "dil_conv": separable,
    "skip": channels * channels if stride == 2 else 0,
  }
  if parameters := kernels.get(operation.type, 0):
    return parameters, parameters * pixels
  each = {"pool": window, "skip": 1, "null": 0}[operation.type]
  return 0, each * channels * pixels


LatencyKey = tuple[str, int, int, int]


def load_latencies(path: str | Path) -> dict[LatencyKey, float]:
  """Reads measured latencies of operations.

  Args:
    path: of a JSON list of {"operation": "skip", "channels": 16, "size": 32,
      "stride": 1, "ms": 0.02}; the size is that of the output.

  Raises:
    UserError: if it is no such list.
  """
  try:
    rows = json.loads(Path(path).read_text(encoding="utf-8"))
  except OSError as error:
    raise FileError(f"{path} cannot be read: {error.strerror}.") from None
  except ValueError as error:
    raise FileError(f"{path} is no JSON: {error}.") from None
  names, table = ("operation", "channels", "size", "stride", "ms"), {}
  if not isinstance(rows, list):
    raise UserError(f"{path} must be a list of rows with {', '.join(names)}.")
  for number, row in enumerate(rows):
    is_row = isinstance(row, Mapping) and set(row) == set(names)
    if not is_row or row["operation"] not in NAMES:
      raise UserError(f"{path}, row {number}: {row!r} must have {', '.join(names)}.")
    ms = row["ms"]
    if type(ms) not in (int, float) or not math.isfinite(ms) or ms < 0:
      raise UserError(f"{path}, row {number}: ms={ms!r} must be a time of 0 or more.")
    table[(row["operation"], row["channels"], row["size"], row["stride"])] = float(ms)
  return table


@dataclasses.dataclass(frozen=True, eq=False)
class CellPrices:
  """Prices in a frame.

  Attributes:
    frame: the network.
    latencies: of `load_latencies`; latency is no price where there are none.
  """

  frame: CellFrame
  latencies: Mapping[LatencyKey, float] | None = None

  @property
  def metrics(self) -> tuple[str, ...]:
    """The names of the prices."""
    return ("parameters", "madds", *(("latency_ms",) if self.latencies else ()))

  @functools.cached_property
  def table(self) -> np.ndarray:
    """Of an edge, in all cells of its kind together.

    Returns:
      float64 (2, 2, operations, metrics): normal or reduction, from another node or
      from an input, operation, price. Parameters and multiply-adds are whole numbers.

    Raises:
      UserError: if a latency is missing.
    """
    prices = np.zeros((2, 2, len(OPERATIONS), len(self.metrics)))
    for place, size in self.frame.places:
      for from_input in range(2):
        stride = 2 if place.is_reduction and from_input else 1
        for number, operation in enumerate(OPERATIONS):
          prices[int(place.is_reduction), from_input, number] += self._price(
            operation, place.channels, size, stride
          )
    return prices

  def _price(
    self, operation: Operation, channels: int, size: int, stride: int
  ) -> list[float]:
    own = [*operation_price(operation, channels, size, stride)]
    if not self.latencies:
      return [*map(float, own)]
    if operation.type == "null":  # nothing is computed, whatever a table says
      return [*map(float, own), 0.0]
    key = (operation.name, channels, size, stride)
    if key not in self.latencies:
      raise UserError(
        f"The latencies lack {operation.name} of {channels} channels, size {size} and "
        f"stride {stride}."
      )
    return [*map(float, own), self.latencies[key]]

  def of_cell(self, cell: Cell, kind: int) -> np.ndarray:
    """What the live edges of a cell cost in the whole network, float64 (metrics,).

    Args:
      cell: the graph.
      kind: 0 for normal cells, 1 for reduction cells.
    """
    total = np.zeros(len(self.metrics))
    for edge in cell.live:
      total += self.table[kind, int(edge.source < INPUTS), edge.operation]
    return total

  def of(self, cells: Cells) -> dict[str, float]:
    """Every price of a network, by its name."""
    own = sum(self.of_cell(cell, kind) for kind, cell in enumerate(cells.both))
    return dict(zip(self.metrics, np.asarray(own).tolist(), strict=True))

  @functools.cached_property
  def increments(self) -> np.ndarray:
    """By how much an exchange makes a cell dearer, in whole units, rounded up.

    Where the increments of a cell's edges add up to 0 or less, the cell is no dearer:
    exactly, as rounding only ever overstates a price. A unit is a power of two small
    enough that sums fit 32 bits, so most increments are exact.

    Returns:
      int32 (2, 2, operations, operations, metrics): as `table`, old and new operation.
    """
    table = self.table
    raw: Any = table[:, :, None, :, :] - table[:, :, :, None, :]
    units = np.empty(raw.shape, np.int32)
    for metric in range(raw.shape[-1]):
      most = np.max(np.abs(raw[..., metric]))
      exponent = math.frexp(most / _MOST_UNITS)[1] if most > 0 else 0
      if metric < 2:
        exponent = max(exponent, 0)  # whole numbers need no parts
      units[..., metric] = np.ceil(np.ldexp(raw[..., metric], -exponent))
    return units
