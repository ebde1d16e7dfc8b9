"""What the benchmark of faults says of a resume that is not as it should be."""

import csv
import json

import pytest

from benchmarks import common
from benchmarks.faults import injection as faults
from benchmarks.faults import runs as fault_runs

HALF = fault_runs.BATCH // 2


class Ended:
  """A launch that is over: what it read, which codes it ended with."""

  def __init__(self, folder, steps, codes=(0, 0), said=()):
    self.workdir, self.codes, self.said = folder / "run", list(codes), list(said)
    self.positions = [folder / f"{p}.positions" for p in range(2)]
    folder.mkdir(parents=True, exist_ok=True)
    for process, file in enumerate(self.positions):
      firsts = [step * fault_runs.BATCH + process * HALF for step in steps]
      rows = [list(range(first, first + HALF)) for first in firsts]
      lines = [json.dumps(pair) + "\n" for pair in zip(steps, rows, strict=True)]
      file.write_text("".join(lines))

  def wait(self):
    return self.codes

  def is_running(self):
    return False

  def step(self):
    return 5

  def messages(self):
    return self.said

  def skipped(self):
    return set()


@pytest.mark.parametrize(
  ("begin", "wrong"), [(8, 0), (7, fault_runs.BATCH), (10, 2 * fault_runs.BATCH)]
)
def test_a_resume_that_began_elsewhere_read_wrong_examples(tmp_path, begin, wrong):
  first = Ended(tmp_path / "first", range(9))
  resume = Ended(tmp_path / "resume", range(8, fault_runs.STEPS))
  assert fault_runs.wrong_positions([first, resume], begin) == wrong


def test_a_run_that_was_done_reads_nothing_again(tmp_path):
  whole = Ended(tmp_path / "first", range(fault_runs.STEPS))
  nothing = Ended(tmp_path / "resume", [])
  assert fault_runs.wrong_positions([whole, nothing], fault_runs.STEPS) == 0
  with nothing.positions[0].open("w") as file:
    file.write("[19, [1")  # the kill came while it was written
  assert fault_runs.wrong_positions([whole, nothing], fault_runs.STEPS) == 0


def run_once(tmp_path, monkeypatch, resume, steps):
  launches = [Ended(tmp_path / "first", [0], codes=(0, -9)), resume]
  resume.workdir = tmp_path / "terminate/0/disk/run"

  def start(workdir, *_):
    workdir.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"kind": "train", "step": s, "loss": 1.0}) for s in steps]
    (workdir / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    return launches.pop(0)

  monkeypatch.setattr(faults, "start", start)
  monkeypatch.setitem(faults.KINDS, "terminate", faults.bad_data)
  return faults.run("terminate", 0, tmp_path, {s: 1.0 for s in steps})


def test_a_resume_that_fails_is_a_row_that_says_so(tmp_path, monkeypatch):
  resume = Ended(tmp_path / "resume", [0], codes=(1, 143), said=["No luck."])
  row = run_once(tmp_path, monkeypatch, resume, [1])
  assert row["resume"].startswith("failed with 1 143: No luck. (see runs/faults/")


def test_a_step_that_stands_twice_is_a_row_that_says_so(tmp_path, monkeypatch):
  resume = Ended(tmp_path / "resume", range(fault_runs.STEPS))
  row = run_once(tmp_path, monkeypatch, resume, [1, 2, 2, 3, 3])
  assert row["resume"].startswith("steps twice: 2 3 (see ")


def test_a_resume_that_is_as_it_should_be_is_a_row_that_says_so(tmp_path, monkeypatch):
  resume = Ended(tmp_path / "resume", range(fault_runs.STEPS))
  row = run_once(tmp_path, monkeypatch, resume, [1, 2])
  assert row["resume"] == "done"
  assert row["losses_equal_after_resume"] is True
  assert row["repeated_or_skipped_examples"] == 0


def test_a_table_without_the_column_is_read_and_written_with_it(tmp_path, monkeypatch):
  monkeypatch.setattr(common, "RESULTS", tmp_path)
  (tmp_path / "faults.csv").write_text("kind,run,moment\nkill_one,0,step 3\n")
  kept = faults._read("faults")
  assert kept == [
    {"kind": "kill_one", "run": "0", "moment": "step 3", "resume": "done"}
  ]
  new = {"kind": "kill_one", "run": 1, "resume": "failed with 1 1: x", "moment": "y"}
  faults._write("faults", [new, *kept])
  with (tmp_path / "faults.csv").open(newline="") as file:
    rows = list(csv.DictReader(file))
  assert list(rows[0]) == ["kind", "run", "moment", "resume"]
  assert [row["resume"] for row in rows] == ["done", "failed with 1 1: x"]
