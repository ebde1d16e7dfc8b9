"""What a figure says; how it looks was looked at."""

from itertools import pairwise

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_epitome.errors import UserError
from neural_epitome.report import comparison, markers, methods, pareto


def row(method, size, top1):
  return {"method": method, "stored_params": size, "madds": size, "top1": top1}


# Sizes a factor of two apart: none is equal to another within a percent.
points = st.lists(st.tuples(st.integers(0, 12), st.floats(0, 100)), min_size=1)


@given(points)
def test_the_front_beats_all_and_none_of_it_beats_another(sizes):
  rows = [row(str(i), 2**size, top1) for i, (size, top1) in enumerate(sizes)]
  front = pareto.front(rows, "stored_params")

  def covers(a, b):
    return a["top1"] >= b["top1"] and a["stored_params"] <= b["stored_params"]

  assert all(any(covers(f, one) for f in front) for one in rows)
  # Ascending in cost; more accurate, except between equals.
  for before, after in pairwise(front):
    assert before["stored_params"] <= after["stored_params"]
    assert before["top1"] <= after["top1"]


def test_equal_cost_is_equal_within_a_percent():
  rows = [row("a", 1000, 80.0), row("b", 1005, 81.0), row("c", 1030, 82.0)]
  front = pareto.front(rows, "stored_params")
  assert [point["method"] for point in front] == ["b", "c"]


def test_what_lies_far_below_is_told_and_does_not_flatten_the_rest():
  rows = [row(f"m{i}", 1000 * 2**i, 86.0 + i / 3) for i in range(8)]
  stray = [row("low_rank", 1000, 57.0), row("low_rank", 2000, 58.5)]
  for mine in (rows, rows + stray):
    shown, below = pareto.far_below(mine)
    assert shown == rows
    assert below == mine[len(rows) :]
  rows = [point | {"sd": 0.1} for point in rows + stray]
  axes = pareto.draw(rows, "stored_params").axes[0]
  assert axes.get_ylim()[0] > 80
  assert "far below: low_rank 57.0 to 58.5" in [text.get_text() for text in axes.texts]


@given(
  st.lists(st.tuples(st.floats(1e3, 1e8), st.integers(0, 13)), min_size=1, max_size=40)
)
def test_points_of_one_cost_stand_apart_and_groups_keep_their_order(points):
  values, ranks = zip(*points, strict=True)
  places, edges = markers.spread(values, ranks)
  assert np.all((edges[:, 0] <= places * 1.0001) & (places <= edges[:, 1] * 1.0001))
  for i, a in enumerate(values):
    # Far apart, never mixed; equal, side by side in the order of their ranks.
    later = [j for j, b in enumerate(values) if b > a * 3]
    assert all(places[j] > places[i] for j in later)
    for j, b in enumerate(values):
      if a == b and ranks[i] < ranks[j]:
        assert places[i] < places[j]
      if a == b and ranks[i] == ranks[j]:
        assert places[i] == places[j]


def test_each_method_has_a_look_of_its_own_and_its_familys_marker():
  names = [*methods.METHODS, "learned_a", "learned_b", "stranger"]
  looks = markers.looks(names)
  assert len(set(looks.values())) == len(names)
  assert looks["learned"][0] == looks["learned_a"][0] != looks["tile"][0]
  assert looks["tile"] == markers.looks(["mbv2_width", "tile"])["tile"]


def _summary(names):
  runs = []
  for number, name in enumerate(names):
    for rate in (2, 4, 8, 16):
      for seed in range(3):
        top1 = 93 - rate / 4 - number / 5 + 0.2 * np.sin(seed + rate + number)
        size = 2_000_000 // (rate if name != "dense" else 1)
        runs.append(
          {"method": name, "seed": seed, "top1": top1, "rate": float(rate)}
          | {"stored_params": size, "stored_bytes": 4 * size, "madds": 10_000_000}
        )
  return comparison.summarise(runs, ())


@pytest.mark.parametrize("x", ["stored_params", "madds"])
def test_labels_of_all_methods_at_four_rates_cover_neither_each_other_nor_points(x):
  figure = pareto.draw(_summary([*methods.METHODS, "learned_soft"]), x)
  [axes] = figure.axes
  boxes = [text.get_window_extent() for text in axes.texts]
  assert len(boxes) >= 10
  for i, box in enumerate(boxes):
    assert box.count_overlaps(boxes[:i]) == 0
    for line in axes.lines:
      if line.get_marker() in ("o", "s", "^", "D"):
        for point in axes.transData.transform(line.get_xydata()):
          assert not box.contains(*point)


def test_a_figure_holds_one_run_or_tells_that_there_is_none(tmp_path):
  summary = comparison.summarise(
    [{"method": "a", "seed": 0, "top1": 1.0, "stored_params": 5, "madds": 7}]
  )
  for x in ("stored_params", "madds"):
    path = tmp_path / "made" / f"{x}.png"
    pareto.figure(summary, x, path, "a title")
    assert matplotlib.image.imread(path).shape[1] > 1000
  with pytest.raises(UserError, match="no run has madds"):
    pareto.figure([summary[0] | {"madds": None}], "madds", tmp_path / "none.png")
  assert not (tmp_path / "none.png").exists()
