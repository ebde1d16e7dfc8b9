"""Methods that a dense network teaches: the runs, and who teaches whom."""

import pytest

from benchmarks.controls import distillation
from benchmarks.controls import suites as control_suites
from benchmarks.controls.methods import METHODS, stored
from benchmarks.controls.rows import trial_text
from neural_epitome.errors import UserError

pytestmark = pytest.mark.slow


@pytest.fixture
def quick(monkeypatch):
  settings = control_suites.settings("2d", "quick")
  monkeypatch.setattr(control_suites, "settings", lambda *_: settings)
  return settings[0]


def make_rows(methods, pick=-1):
  setting = {"size": "small", "backbone": "mbconv", "split": "test"}
  return [
    setting | {"method": name, "trial": trial_text(METHODS[name].trials[pick])}
    for name in methods
  ]


def test_a_student_learns_from_a_dense_network_of_another_seed(quick, tmp_path):
  rows = make_rows(distillation.TAUGHT, pick=1)
  students = list(distillation.students(rows, seeds=2, rate=4.0))
  assert [known["method"] for known, _, _ in students] == [*distillation.TAUGHT] * 2
  assert {known["rate"] for known, _, _ in students} == {"1", "4"}
  for known, teacher, job in students:
    assert (teacher.method, job.method) == ("dense", known["method"])
    assert teacher.seed == distillation.TEACHER_SEED + job.seed
    assert job.trial == METHODS[job.method].trials[1]
  [(_, teacher, job)] = [f for f in students if f[0]["method"] == "tile"][:1]
  report = distillation.teach(teacher, tmp_path / "teacher")
  row = distillation.execute(job, tmp_path / "teacher", tmp_path / "student")
  assert row["teacher_top1"] == pytest.approx(report["top1"], abs=1e-3)
  assert row["stored_params"] < 0.5 * stored(teacher.configuration())
  assert (tmp_path / "teacher").exists()
  assert not (tmp_path / "student").exists()


def test_a_method_that_was_not_tested_on_labels_alone_is_named(quick):
  rows = make_rows(["dense", "width"])
  with pytest.raises(UserError, match="tile was not tested on mbconv"):
    list(distillation.students(rows, seeds=1, rate=4.0))
  rows = [*make_rows(["dense"]), make_rows(["width"])[0] | {"trial": "factor=7.0"}]
  with pytest.raises(UserError, match="width has no trial"):
    list(distillation.students(rows, seeds=1, rate=4.0))
