"""A run goes on in its own directory, and no other run does."""

import dataclasses

import pytest

from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError
from neural_epitome.runs import claims
from neural_epitome.runs.directory import RunDirectory
from tests.training import tiny

PLAN = plans.make([KernelUse("a/kernel", (4, 4))], {})
OTHER_PLAN = plans.make([KernelUse("a/kernel", (4, 8))], {})


@pytest.fixture
def directory(tmp_path):
  run = RunDirectory(tmp_path / "run")
  claims.claim(run, tiny.experiment(), PLAN, ("cat", "dog"))
  return run


def test_it_opens_again_for_the_same_run_and_changes_nothing(directory):
  directory.set_status("diverged")
  before = {f: f.read_bytes() for f in directory.path.iterdir()}
  claims.claim(directory, tiny.experiment(), PLAN, ("cat", "dog"))
  assert {f: f.read_bytes() for f in directory.path.iterdir()} == before


def test_options_that_change_no_result_may_differ(directory):
  config = tiny.experiment(log_every=7, checkpoint_every=1e9, keep_checkpoints=9)
  data = dataclasses.replace(config.data, threads=1, data_dir="/elsewhere")
  claims.check(directory, dataclasses.replace(config, data=data))


def test_another_plan_is_refused(directory):
  with pytest.raises(UserError, match=r"another plan \(plan\.json\)"):
    claims.claim(directory, tiny.experiment(), OTHER_PLAN, ("cat", "dog"))


def test_a_differing_option_is_named_with_both_values(directory):
  with pytest.raises(UserError, match=r"config\.training\.epochs=1\.2, not 3\.0 and 1"):
    claims.check(directory, tiny.experiment(epochs=3.0, seed=2))


def test_a_folder_of_other_things_is_never_taken_over(tmp_path):
  (tmp_path / "report").mkdir()
  with pytest.raises(UserError, match=r"has report but no config\.json"):
    claims.check(RunDirectory(tmp_path), tiny.experiment())
  file = tmp_path / "file"
  file.write_text("x")
  with pytest.raises(UserError, match="is a file"):
    claims.check(RunDirectory(file), tiny.experiment())


def test_a_broken_config_is_one_line(directory):
  (directory.path / "config.json").write_text('{"name": ')
  with pytest.raises(UserError, match=r"config\.json cannot be read"):
    claims.check(directory, tiny.experiment())


def test_a_run_of_other_classes_is_refused_by_name(directory):
  for classes, words in (
    (("cat", "emu"), "'dog' only there, 'emu' only here"),
    (("dog", "cat"), "class 0 is 'cat' there, 'dog' here"),
    (("cat", "dog", "emu"), "'emu' only here"),
  ):
    before = {f: f.read_bytes() for f in directory.path.iterdir()}
    with pytest.raises(UserError, match=words):
      claims.claim(directory, tiny.experiment(), PLAN, classes)
    assert {f: f.read_bytes() for f in directory.path.iterdir()} == before


def identity(examples=5, digest="a"):
  split = {"examples": examples, "digest": digest}
  return {"train": split, "evaluation": {"examples": 2, "digest": "b"}}


def test_a_run_goes_on_with_the_data_that_it_began_with(directory):
  classes = ("cat", "dog")
  # That of an earlier release knows nothing of its data, and now it does.
  assert not claims.claim(directory, tiny.experiment(), PLAN, classes, identity)
  assert not claims.claim(directory, tiny.experiment(), PLAN, classes, identity)
  for changed, words in (
    (identity(6), r"train split .* \(6 examples, not 5\)"),
    (identity(digest="c"), "other names or sizes"),
  ):
    with pytest.raises(UserError, match=words + r".*accept_changes=true"):
      claims.claim(directory, tiny.experiment(), PLAN, classes, lambda c=changed: c)
  config = tiny.experiment()
  data = dataclasses.replace(config.data, accept_changes=True)
  config = dataclasses.replace(config, data=data)
  assert "6 examples" in claims.claim(
    directory, config, PLAN, classes, lambda: identity(6)
  )
  # What was accepted is what it goes on with.
  assert not claims.claim(
    directory, tiny.experiment(), PLAN, classes, lambda: identity(6)
  )


@pytest.mark.parametrize("name", ["checkpoints", "events", "report"])
def test_a_file_in_the_way_is_refused_before_anything_else(directory, name):
  (directory.path / name).touch()
  with pytest.raises(UserError, match=f"{name} is no folder that can be written"):
    claims.check(directory, tiny.experiment())
