"""Pictures hold what they are of; how they look was looked at."""

import matplotlib.image
import numpy as np

from neural_epitome.report import figures, routing_maps

LINES = [
  {"step": 1, "kind": "train", "loss": 2.0, "accuracy": 0.1, "learning_rate": 0.1},
  {"step": 2, "kind": "train", "loss": None, "accuracy": 0.2, "learning_rate": 0.1},
  {"step": 2, "kind": "evaluation", "loss": 1.5, "top1": 0.3, "top1_ema": 0.2},
]


def test_curves_survive_gaps_and_absent_series(tmp_path):
  for number, lines in enumerate((LINES, LINES[:1], [])):
    path = tmp_path / f"{number}.png"
    figures.curves(lines, path)
    assert matplotlib.image.imread(path).shape[0] > 100


def test_a_routing_picture_shows_the_painted_kernel(tmp_path):
  shape, cells = (1, 1, 4, 4), (1, 1, 2, 2)
  pictures = []
  for offsets in ({}, {"output": np.float32([0.0, 1.0])}):
    path = tmp_path / "map.png"
    figures.routing_map("layer", offsets, shape, cells, path)
    pictures.append(matplotlib.image.imread(path)[..., :3])
    painted = routing_maps.painted(offsets, shape, cells).reshape(-1, 3)
    pixels = np.unique(pictures[-1].reshape(-1, 3), axis=0)
    for colour in painted:
      assert np.abs(pixels - colour).max(axis=1).min() < 0.01
  assert not np.array_equal(*pictures)


def test_layers_with_room_show_their_windows(tmp_path):
  wide = tmp_path / "wide.png"
  figures.routing_map("a", {}, (3, 3, 4, 4), (4, 4, 2, 2), wide)
  narrow = tmp_path / "narrow.png"
  figures.routing_map("a", {}, (3, 3, 4, 4), (3, 3, 2, 2), narrow)
  widths = [matplotlib.image.imread(p).shape[1] for p in (wide, narrow)]
  assert widths[0] > widths[1]
  figures.routing_map("a", {}, (3, 4, 4), (5, 2, 2), tmp_path / "one_axis.png")
