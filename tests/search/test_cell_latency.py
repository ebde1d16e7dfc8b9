"""A table of latencies that was measured here is one that cells are priced by."""

import numpy as np
import pytest

from neural_epitome.models.cell_files import load_cells
from neural_epitome.search.cell_latency import measure_cell_latencies
from neural_epitome.spaces.cell_prices import CellFrame, CellPrices
from neural_epitome.spaces.cell_states import CellSpace
from neural_epitome.strategies.cell_transformer import CellTransformer


@pytest.mark.slow
def test_cells_are_priced_and_changed_by_what_was_measured(tmp_path):
  frame, path = CellFrame(cells=3, channels=2, image_size=4), tmp_path / "ms.json"
  rows = measure_cell_latencies(frame, path, rounds=2)
  assert all(row["ms"] > 0 for row in rows)
  transformer = CellTransformer(CellSpace(frame=frame), latencies=str(path))
  given = load_cells("darts")
  price = transformer.prices(given)
  assert price["latency_ms"] > 0
  assert CellPrices(frame).of(given) == {k: price[k] for k in ("parameters", "madds")}
  result = transformer.transform(given, lambda archs: np.arange(len(archs)).tolist())
  for change in result.changes:
    assert transformer.prices(change)["latency_ms"] <= price["latency_ms"] + 1e-9
