"""The picture of a sweep is drawn of whatever was measured."""

import pytest
from PIL import Image

from neural_epitome.report import compression_figure

MEASURED = {"drop": 2.0, "percent": 90.0, "output_error": 0.1, "examples": 9}
RUINED = {"drop": None, "percent": None, "output_error": None, "examples": 9}


def summaries(*outputs):
  rows = []
  for number, one in enumerate(outputs):
    row = {"bytes": 4000 >> number, "source_bytes": 16_000, "error": 0.1 * number}
    rows.append(row | ({"outputs": one} if one else {}))
  return rows


@pytest.mark.slow
@pytest.mark.parametrize(
  ("outputs", "is_wide"),
  [
    ([None, None], False),
    ([MEASURED | {"measure": "error"}] * 3, False),
    ([MEASURED | {"measure": "accuracy"}] * 3, True),
    ([MEASURED | {"measure": "agreement"}, RUINED | {"measure": "agreement"}], True),
    ([RUINED | {"measure": "agreement"}] * 2, False),
  ],
)
def test_accuracy_has_a_panel_of_its_own_where_there_is_one(tmp_path, outputs, is_wide):
  path = compression_figure.draw(summaries(*outputs), tmp_path / "it.png")
  with Image.open(path) as picture:
    width, height = picture.size
  assert (width > 2.5 * height) == is_wide
