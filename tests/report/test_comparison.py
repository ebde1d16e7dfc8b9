import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_epitome.errors import UserError
from neural_epitome.report import comparison


def run(method, seed, top1, stored=1000, **more):
  return {
    "method": method,
    "seed": seed,
    "top1": top1,
    "stored_params": stored,
    "stored_bytes": 4 * stored,
    "madds": 10 * stored,
    "backbone": "net",
    "dataset": "data",
  } | more


def find(summary, method):
  [row] = [row for row in summary if row["method"] == method]
  return row


tops = st.floats(0, 100)


@given(st.lists(st.tuples(tops, tops), min_size=2, max_size=6))
def test_mean_spread_and_paired_error_agree_with_numpy(pairs):
  rows = [run("a", i, x) for i, (x, _) in enumerate(pairs)]
  rows += [run("tile", i, y) for i, (_, y) in enumerate(pairs)]
  row = find(comparison.summarise(rows), "a")
  ours, theirs = np.array(pairs).T
  np.testing.assert_allclose(row["top1"], ours.mean())
  np.testing.assert_allclose(row["sd"], ours.std(ddof=1), atol=1e-9)
  difference = row["differences"]["*tile"]
  np.testing.assert_allclose(difference["mean"], (ours - theirs).mean(), atol=1e-9)
  error = (ours - theirs).std(ddof=1) / len(pairs) ** 0.5
  np.testing.assert_allclose(difference["standard_error"], error, atol=1e-9)


def test_only_common_seeds_are_paired():
  rows = [run("a", 0, 80.0), run("a", 1, 81.0), run("a", 7, 10.0)]
  rows += [run("tile", 1, 79.0), run("tile", 0, 79.0), run("tile", 5, 99.0)]
  difference = find(comparison.summarise(rows), "a")["differences"]["*tile"]
  assert (difference["mean"], difference["pairs"]) == (1.5, 2)
  assert difference["standard_error"] == pytest.approx(0.5)
  rows = [run("a", 0, 80.0), run("tile", 1, 79.0)]
  assert find(comparison.summarise(rows), "a")["differences"]["*tile"] is None


def test_one_run_has_no_spread_and_one_pair_no_error():
  summary = comparison.summarise([run("a", 3, 80.0), run("tile", 3, 79.0)])
  row = find(summary, "a")
  assert row["sd"] is None
  assert row["differences"]["*tile"]["standard_error"] is None
  assert find(summary, "tile")["differences"]["*tile"] is None
  assert comparison.top1_text(row) == "80.00 (1)"
  assert comparison.difference_text(row["differences"]["*tile"]) == "+1.00 (1)"


@pytest.mark.parametrize("key", comparison.SETTING)
def test_runs_of_different_settings_are_never_paired(key):
  rows = [run("a", 0, 80.0, **{key: 1}), run("tile", 0, 79.0, **{key: 2})]
  assert find(comparison.summarise(rows), "a")["differences"]["*tile"] is None


def test_the_baseline_is_of_the_nearest_size_and_a_foreign_size_is_marked():
  rows = [run("tile r=2", 0, 90.0, 5000), run("tile r=8", 0, 70.0, 1000)]
  rows += [run("a", 0, 75.0, 1005), run("dense", 0, 95.0, 10000)]
  summary = comparison.summarise(rows, ("tile",))
  near = find(summary, "a")["differences"]["tile"]
  assert (near["method"], near["same_size"]) == ("tile r=8", True)
  far = find(summary, "dense")["differences"]["tile"]
  assert (far["method"], far["same_size"]) == ("tile r=2", False)
  text = comparison.table(summary)
  assert "+5.00 (1)*" in text
  assert comparison.NOTE_SIZE in text


def test_of_two_baselines_of_one_size_it_is_the_better():
  rows = [run("a_tile", 0, 90.0, 1004), run("b_tile", 0, 91.0, 1000)]
  row = find(comparison.summarise([*rows, run("x", 0, 92.0)]), "x")
  assert row["differences"]["*tile"]["method"] == "b_tile"


def test_rows_come_by_stored_size_then_by_accuracy():
  rows = [run("d", 0, 99.0, 5000), run("a", 0, 70.0, 1000), run("b", 0, 80.0, 1009)]
  rows += [run("c", 0, 90.0, 1030)]
  methods = [row["method"] for row in comparison.summarise(rows)]
  assert methods == ["b", "a", "c", "d"]


def test_a_seed_counts_once():
  with pytest.raises(UserError, match="a has two runs of seed 4"):
    comparison.summarise([run("a", 4, 1.0), run("a", 4, 1.0)])


def test_the_table_holds_what_varies_and_is_markdown_where_wanted():
  rows = [run("a", s, 80.0 + s, rate=8.0) for s in (0, 1)]
  rows += [run("tile", s, 81.0, rate=8.0) for s in (0, 1)]
  headers, cells = comparison.cells(comparison.summarise(rows))
  minus = comparison.MINUS
  assert headers == [
    "method", "n", "top-1", "sd", "parameters", "bytes", "MAdds", f"{minus} tile"
  ]  # fmt: skip
  expected = f"{minus}0.50 ± 0.50 (2)"
  assert cells[1] == ["a", "2", "80.50", "0.71", "1,000", "4,000", "10,000", expected]
  text = comparison.table(comparison.summarise(rows), "github")
  assert text.splitlines()[1].startswith("|:--")
  rows += [run("a", 0, 50.0, rate=16.0)]
  headers, cells = comparison.cells(comparison.summarise(rows))
  assert headers[0] == "rate"
  assert {row[0] for row in cells} == {"8", "16"}


def test_a_difference_that_rounds_to_nothing_has_no_sign():
  difference = {"mean": -0.004, "standard_error": 0.1, "pairs": 3}
  assert comparison.difference_text(difference) == "0.00 ± 0.10 (3)"


def test_rows_without_a_size_are_compared_all_the_same():
  rows = [run("a", 0, 80.0) | {"stored_params": None}, run("tile", 0, 79.0)]
  difference = find(comparison.summarise(rows), "a")["differences"]["*tile"]
  assert (difference["mean"], difference["same_size"]) == (1.0, False)
  comparison.table(comparison.summarise(rows))
