import dataclasses

import pytest

from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError
from neural_epitome.runs import metrics
from neural_epitome.runs.directory import RunDirectory
from tests.training import tiny

PLAN = plans.make([KernelUse("a/kernel", (4, 4))], {})
OTHER_PLAN = plans.make([KernelUse("a/kernel", (4, 8))], {})


@pytest.fixture
def directory(tmp_path):
  found = RunDirectory(tmp_path / "run")
  found.open(tiny.experiment(), PLAN, ("cat", "dog"))
  return found


def test_what_is_written_is_read_back(directory):
  assert directory.config() == tiny.experiment()
  assert directory.plan() == PLAN
  assert directory.classes() == ("cat", "dog")
  assert directory.status == "incomplete"
  directory.set_status("done")
  assert directory.status == "done"
  assert not list(directory.path.glob("*.partial"))


def test_it_opens_again_for_the_same_run_and_changes_nothing(directory):
  directory.set_status("diverged")
  before = {f: f.read_bytes() for f in directory.path.iterdir()}
  directory.open(tiny.experiment(), PLAN, ("cat", "dog"))
  assert {f: f.read_bytes() for f in directory.path.iterdir()} == before


def test_options_that_change_no_result_may_differ(directory):
  config = tiny.experiment(log_every=7, checkpoint_every=1e9, keep_checkpoints=9)
  data = dataclasses.replace(config.data, threads=1, data_dir="/elsewhere")
  directory.check(dataclasses.replace(config, data=data))


def test_another_plan_is_refused(directory):
  with pytest.raises(UserError, match=r"another plan \(plan\.json\)"):
    directory.open(tiny.experiment(), OTHER_PLAN, ("cat", "dog"))


def test_a_differing_option_is_named_with_both_values(directory):
  with pytest.raises(UserError, match=r"config\.training\.epochs=1\.2, not 3\.0 and 1"):
    directory.check(tiny.experiment(epochs=3.0, seed=2))


def test_a_folder_of_other_things_is_never_taken_over(tmp_path):
  (tmp_path / "report").mkdir()
  with pytest.raises(UserError, match=r"has report but no config\.json"):
    RunDirectory(tmp_path).check(tiny.experiment())
  file = tmp_path / "file"
  file.write_text("x")
  with pytest.raises(UserError, match="is a file"):
    RunDirectory(file).check(tiny.experiment())


def test_a_broken_config_is_one_line(directory):
  (directory.path / "config.json").write_text('{"name": ')
  with pytest.raises(UserError, match=r"config\.json cannot be read"):
    directory.check(tiny.experiment())


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
