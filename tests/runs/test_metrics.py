"""Measurements in files: what a resumed run keeps, and events for TensorBoard."""

import errno
import os

import pytest

from neural_epitome.runs import metrics
from tests import disks


def test_a_resumed_log_forgets_what_came_after_its_step(tmp_path):
  path = tmp_path / "metrics.jsonl"
  log = metrics.Log(path, None)
  for step in (1, 2, 3):
    log.write(step, "train", {"loss": float(step)})
  log.close()
  with path.open("a") as file:
    file.write('{"step": 4, "ki')  # a crash in the middle of a line
  log = metrics.Log(path, None, resume_step=2)
  log.write(3, "train", {"loss": float("nan")})
  log.close()
  assert metrics.read(path) == [
    {"step": 1, "kind": "train", "loss": 1.0},
    {"step": 2, "kind": "train", "loss": 2.0},
    {"step": 3, "kind": "train", "loss": None},
  ]
  assert log.has(2, "train")
  assert not log.has(2, "evaluation")


def test_events_are_written_where_wanted(tmp_path):
  log = metrics.Log(tmp_path / "metrics.jsonl", tmp_path / "events")
  log.write(1, "train", {"loss": 0.5})
  log.close()
  (events,) = (tmp_path / "events").iterdir()
  assert b"train/loss" in events.read_bytes()


def test_a_line_is_written_by_name_whatever_became_of_the_file_before(tmp_path):
  path = tmp_path / "metrics.jsonl"
  log = metrics.Log(path, None)
  log.write(1, "train", {"loss": 2.0})
  # As a server does that was restarted, or a tool that put a copy in its place.
  (tmp_path / "copy").write_bytes(path.read_bytes())
  os.replace(tmp_path / "copy", path)
  log.write(2, "train", {"loss": float("nan")})
  log.close()
  assert [line["loss"] for line in metrics.read(path)] == [2.0, None]


def test_a_full_disk_is_told_at_the_line_that_does_not_fit(tmp_path):
  with disks.small(tmp_path / "disk", 4) as disk:
    log = metrics.Log(disk / "metrics.jsonl", None)

    def write_many():
      for step in range(1000):
        log.write(step, "train", {"loss": 2.0})

    with pytest.raises(OSError, match="No space left") as caught:
      write_many()
    assert caught.value.errno == errno.ENOSPC
    log.close()
    # All but that one, which is cut.
    assert len(metrics.read(disk / "metrics.jsonl")) == len(log.lines) - 1 > 9
