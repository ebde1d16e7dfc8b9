"""A run whose date is set while it lasts ends as any other."""

import contextlib
import functools
import itertools
import json
import os
import re
import subprocess
import sys
import time

import pytest

from benchmarks.faults import date as dates
from neural_epitome.errors import UserError
from neural_epitome.runs import lock, metrics
from tests.training.test_loop import ROOT, VICTIM, assert_same_run, interrupt

pytestmark = [
  pytest.mark.slow,
  pytest.mark.xdist_group("loop"),
  pytest.mark.usefixtures("compilation_cache"),
]


@pytest.fixture
def set_date(tmp_path, monkeypatch):
  if sys.platform != "linux":
    pytest.skip("what sets the date is for Linux")
  try:
    variables = dates.prepare(tmp_path)
  except UserError as error:
    pytest.skip(str(error))
  for name, value in variables.items():
    monkeypatch.setenv(name, value)
  return functools.partial(dates.set_hours, tmp_path)


def test_a_date_that_jumps_by_hours_changes_nothing_of_a_run_or_its_resume(
  whole, tmp_path, compilation_cache, set_date
):
  workdir = tmp_path / "run"
  set_date(5)
  stopped = interrupt(workdir, "SIGTERM", 4, compilation_cache)
  assert stopped.returncode == 143, stopped.stderr
  # Older than all that the run has left.
  set_date(-7)
  begin = time.monotonic()
  with (tmp_path / "log").open("w") as log:
    process = subprocess.Popen(
      [sys.executable, "-c", VICTIM, str(workdir), "", "-1", str(compilation_cache)],
      env=os.environ | {"PYTHONPATH": str(ROOT)},
      stdout=log,
      stderr=log,
    )
    try:
      for hours in itertools.cycle((-7, 3, -1, 100, 0)):
        set_date(hours)
        with contextlib.suppress(subprocess.TimeoutExpired):
          process.wait(0.1)
          break
        assert time.monotonic() - begin < 300
    finally:
      process.kill()
  said = (tmp_path / "log").read_text()
  assert process.returncode == 0, said
  assert_same_run(workdir, whole[0])
  assert not (workdir / lock.LOCK).exists()
  lines = metrics.read(workdir / "metrics.jsonl")
  seconds = [line["seconds"] for line in lines if "seconds" in line]
  assert seconds == sorted(seconds)
  report = json.loads((workdir / "report/report.json").read_text())
  assert 0 < report["seconds"] < 600
  assert not re.search(r"ETA -|ETA \d+:\d\d:", said)
