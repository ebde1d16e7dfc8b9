"""Prices of cells: tables of latencies, and what exchanges cost."""

import json
import math

import numpy as np
import pytest

from neural_epitome.errors import UserError
from neural_epitome.models.cell_operations import NAMES, OPERATIONS
from neural_epitome.models.cells import Cell, Cells, Edge
from neural_epitome.spaces.cell_prices import CellFrame, CellPrices, load_latencies


def edge(source, target, name):
  return Edge(target, source, NAMES.index(name))


def latencies(frame, ms):
  return [
    {
      "operation": operation.name,
      "channels": place.channels,
      "size": size,
      "stride": stride,
      "ms": ms(operation),
    }
    for place, size in dict.fromkeys(frame.places)
    for stride in (1, 2)
    for operation in OPERATIONS
  ]


def test_latencies_are_read_and_summed(tmp_path):
  frame, path = CellFrame(cells=3, channels=4, image_size=8), tmp_path / "ms.json"
  path.write_text(json.dumps(latencies(frame, lambda o: 0.5 * o.level)))
  prices = CellPrices(frame, load_latencies(path))
  one = Cell((edge(0, 2, "skip"), edge(1, 2, "conv_1x1")), (2,))
  assert prices.of(Cells(one, one))["latency_ms"] == pytest.approx(3 * 2.0)


def test_latencies_that_are_none_are_errors(tmp_path):
  frame, path = CellFrame(cells=1), tmp_path / "ms.json"
  rows = latencies(frame, lambda o: 1.0)
  for bad, match in (
    ({"operation": "skip"}, "row 0"),
    ([rows[0] | {"ms": -1}], "0 or more"),
    ([rows[0] | {"ms": math.nan}], "0 or more"),
    ([rows[0] | {"operation": "conv"}], "row 0"),
    ([3], "row 0"),
    ("x", "list of rows"),
  ):
    data = [bad] if isinstance(bad, dict) else bad
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=match):
      load_latencies(path)
  path.write_text(json.dumps(rows[1:]))
  with pytest.raises(UserError, match="lack conv_5x5"):
    _ = CellPrices(frame, load_latencies(path)).table


def test_increments_are_differences_of_prices():
  prices = CellPrices(CellFrame(cells=3, channels=4, image_size=8))
  table, increments = prices.table, prices.increments
  expected = table[:, :, None] - table[:, :, :, None]
  np.testing.assert_array_equal(increments, expected)  # small enough to be exact


def test_increments_of_large_networks_are_rounded_up():
  prices = CellPrices(CellFrame(cells=20, channels=256, image_size=224))
  table = prices.table
  exact = table[:, :, None] - table[:, :, :, None]
  increments = prices.increments.astype(np.float64)
  assert np.abs(increments).max() * 256 < 2**31
  for metric in range(2):
    largest = np.argmax(exact[..., metric])
    unit = exact[..., metric].flat[largest] / increments[..., metric].flat[largest]
    unit = 2.0 ** round(math.log2(unit))
    over = increments[..., metric] * unit - exact[..., metric]
    assert np.all((over >= 0) & (over < unit))
