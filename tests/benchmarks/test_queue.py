"""The queue: what it runs, in which order, and that no row is written twice."""

import csv

import pytest

from benchmarks import queue
from benchmarks.quality.jobs import Job, all_jobs
from benchmarks.quality.running import run
from neural_epitome.errors import UserError
from tests.benchmarks.quality.conftest import place, tiny

__all__ = ["place", "tiny"]


@pytest.fixture
def jobs(tiny):
  return [Job(tiny, "dense", 0, 2), Job(tiny, "int4", 0, 0), Job(tiny, "int4", 0, 1)]


def rows_of(path):
  with path.open(newline="") as file:
    return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_queue_writes_every_row_once(jobs, place, tmp_path, capsys):
  output = tmp_path / "rows.csv"
  queue.work(jobs[:2], place, output)
  queue.work(jobs, place, output)
  queue.work(jobs, place, output)
  rows = rows_of(output)
  assert [row["job"] for row in rows] == [job.name for job in jobs]
  assert [row["epochs"] for row in rows] == ["2", "0", "1"]
  assert rows[0]["top1"] == rows[2]["teacher_top1"]
  assert float(rows[1]["bytes_ratio"]) > 3 * float(rows[0]["bytes_ratio"]) == 3
  assert all(row["commit"] and row["date"] and row["device"] for row in rows)
  assert not list(place.workdir.glob("*.partial*"))
  # Where the teacher's weights are gone they are made again, and its row is not.
  place.trained(jobs[0]).unlink()
  queue.work(jobs, place, output)
  assert place.trained(jobs[0]).is_file()
  assert rows_of(output) == rows
  queue.show(jobs, output, place)
  assert "3 done, 0 owed" in capsys.readouterr().out


@pytest.mark.slow
def test_no_time_starts_nothing_and_the_list_says_what_is_left(
  jobs, place, tmp_path, capsys
):
  output = tmp_path / "rows.csv"
  queue.work(jobs, place, output, seconds=-1.0)
  assert not output.exists()

  def stop(line):
    if "epoch 1 of 2" in line:
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    run(jobs[0], place, say=stop)
  queue.show(jobs, output, place)
  shown = capsys.readouterr().out.splitlines()
  assert "epoch 1 of 2" in shown[0]
  assert "unknown" not in shown[0]
  assert shown[-1].startswith("0 done, 3 owed")


@pytest.mark.slow
def test_a_job_that_cannot_be_run_does_not_stop_the_others(
  jobs, place, tmp_path, capsys
):
  orphan = Job(jobs[0].network, "int4", 7, 0)
  output = tmp_path / "rows.csv"
  with pytest.raises(UserError, match="1 jobs could not be run"):
    queue.work([orphan, jobs[0]], place, output)
  assert [row["job"] for row in rows_of(output)] == [jobs[0].name]
  assert f"{orphan.name}: needs its teacher" in capsys.readouterr().out


def test_two_queues_do_not_work_in_one_folder(jobs, place, tmp_path):
  with (
    queue._alone(place.workdir),
    pytest.raises(UserError, match="Another queue works"),
  ):
    queue.work(jobs, place, tmp_path / "rows.csv")


def test_a_pattern_selects_and_one_that_matches_nothing_is_told():
  assert {job.network for job in queue.select("resnet20-")} == {"resnet20"}
  assert len(queue.select("")) == len(all_jobs())
  with pytest.raises(UserError, match="--only=nothing matches no job"):
    queue.select("nothing")


def test_every_job_has_a_name_of_its_own_and_comes_after_its_teacher():
  jobs = all_jobs()
  assert len({job.name for job in jobs}) == len(jobs)
  seen = set()
  for job in jobs:
    assert job.is_dense or job.teacher in seen
    seen.add(job)
