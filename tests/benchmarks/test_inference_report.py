"""The tables of inference, from rows that the test makes."""

import pytest

from benchmarks.inference import report


def rows(**ratios):
  """Rows of every case; the ratio of a mode is that of its name, or 0.9."""
  return [
    {
      "side": side, "rate": rate, "runtime": runtime, "batch": batch, "mode": mode,
      "median_ms": "10.0", "file_bytes": "1000" if mode == "dense" else "520",
      "ratio_to_dense": str(ratios.get(mode, 0.9)), "ratio_to_torch": "0.3",
    }
    for side in ("narrow", "wide")
    for rate in ("2.0", "4.0")
    for runtime in report.RUNTIMES
    for batch in report.BATCHES
    for mode in ("dense", "materialise", "fold", "measured", "floor")
    if (side, mode) != ("wide", "floor")
  ]  # fmt: skip


@pytest.mark.parametrize(
  ("measured", "floor", "verdict"),
  [
    (0.70, 0.60, "met"),
    (0.71, 0.60, "missed"),
    (0.80, 0.75, "forbidden by the floor; 1.07 of it"),
    (0.90, 0.75, "forbidden by the floor; 1.20 of it, missed"),
  ],
)
def test_a_target_counts_as_missed_unless_its_floor_forbids_it(
  measured, floor, verdict
):
  assert report.verdict(measured, floor, 0.70) == verdict
  table = report.targets(report.by_case(rows(measured=measured, floor=floor)))
  [line] = [row for row in table.splitlines() if "rate 2, XLA, batch 8" in row]
  assert line.endswith(f" {verdict} |")
  assert f"{measured:.3f}" in line


def test_what_multiply_adds_would_give_lies_between_floor_and_dense():
  assert report.shrunk(0.6, 2.0) == pytest.approx(0.8)
  assert report.shrunk(0.6, 4.0) == pytest.approx(0.7)
  table = report.targets(report.by_case(rows(measured=0.71, floor=0.6)))
  [line] = [row for row in table.splitlines() if "rate 4, XLA, batch 8" in row]
  assert "0.700" in line


def test_what_was_not_run_is_left_open():
  some = [row for row in rows(fold=0.5) if row["batch"] == "1"]
  table = report.times(report.by_case(some), "wide")
  assert "0.5, -" in table
  assert "batch 8" not in report.targets(report.by_case(some))
  # The wide side has no floor.
  assert "floor" not in table
  assert "floor" in report.times(report.by_case(some), "narrow")


def test_the_digest_has_files_and_times_of_the_narrow_side():
  lines = report.digest(report.by_case(rows(measured=0.61))).splitlines()
  assert len(lines) == 4
  assert lines[2].count("0.61, 0.61") == 3
  assert "0.52, 0.52" in lines[2]
