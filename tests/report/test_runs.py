import json

import pytest

from neural_epitome import codec
from neural_epitome.config import Config, override
from neural_epitome.errors import UserError
from neural_epitome.report import comparison, runs

REPORT = {
  "top1": 0.8,
  "top1_ema": None,
  "stored_params": 1000,
  "stored_bytes": 4000,
  "madds": 9000,
}


@pytest.fixture
def make(tmp_path):
  """Writes a run directory: make("a/b", name, {field: value}, status, report)."""

  def write(place, name="tile", fields=(), status="done", report=None):
    config = override(Config(), "name", json.dumps(name))
    for field, value in dict(fields).items():
      config = override(config, field, json.dumps(value))
    path = tmp_path / place
    (path / "report").mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(codec.encode(config)))
    (path / "status").write_text(status + "\n")
    text = json.dumps(REPORT | (report or {}))
    (path / "report" / "report.json").write_text(text)
    return path

  return write


def seed(number):
  return {"training.seed": number}


def labels(paths):
  return [(row["method"], row["seed"]) for row in runs.rows(paths)[0]]


def test_runs_are_found_at_any_depth_and_once(make, tmp_path):
  first, second = make("a/x"), make("a/b/y")
  (first / "checkpoints" / "1").mkdir(parents=True)
  (first / "checkpoints" / "1" / "config.json").write_text("{}")
  paths = runs.find([tmp_path, first, tmp_path / "a" / ".." / "a"])
  assert sorted(paths) == sorted([first, second])


def test_the_seed_and_what_changes_no_result_make_no_other_method(make):
  paths = [
    make("1", "tile-0", seed(0)),
    make("2", "tile_seed1", seed(1)),
    make("3", "tile", seed(2) | {"training.log_every": 7, "data.threads": 1}),
  ]
  assert labels(paths) == [("tile", 0), ("tile", 1), ("tile", 2)]


def test_namesakes_are_told_apart_by_what_differs(make):
  rate = "optimizer.learning_rate"
  paths = [
    make("1", "tile", seed(0) | {rate: 0.1}),
    make("2", "tile", seed(0) | {rate: 0.2}),
    make("3", "other", seed(0) | {rate: 0.3}),
  ]
  expected = [
    ("tile learning_rate=0.1", 0),
    ("tile learning_rate=0.2", 0),
    ("other", 0),
  ]
  assert labels(paths) == expected


def test_a_choice_tells_more_than_the_fields_that_follow_from_it(make):
  paths = [
    make("1", "net", {"planner": {"kind": "dense"}}),
    make("2", "net", {"planner": {"kind": "uniform", "rate": 4.0}}),
  ]
  assert [label for label, _ in labels(paths)] == ["net kind=dense", "net kind=uniform"]


def test_a_number_that_is_no_seed_stays_in_the_name(make):
  assert labels([make("1", "tile-8", seed(0))]) == [("tile-8", 0)]


def test_another_data_set_is_another_setting_and_no_other_label(make):
  paths = [make("1"), make("2", fields={"data.dataset": "other"})]
  rows, _ = runs.rows(paths)
  assert [row["method"] for row in rows] == ["tile", "tile"]
  assert [row["dataset"] for row in rows] == ["embedded", "other"]


def test_unfinished_runs_are_left_out_by_name(make):
  paths = [make("1"), make("2", "a", status="diverged"), make("3", status="incomplete")]
  (paths[2] / "status").unlink()
  rows, left_out = runs.rows(paths)
  assert len(rows) == 1
  assert left_out == {paths[1]: "diverged", paths[2]: "not started"}


def test_top1_is_of_averaged_weights_where_kept(make):
  path = make("1", report={"top1_ema": 0.9})
  tops = [runs.rows([path], weights)[0][0]["top1"] for weights in (None, "raw", "ema")]
  assert tops == pytest.approx([90.0, 80.0, 90.0])
  with pytest.raises(UserError, match="kept no averaged weights"):
    runs.rows([make("2")], "ema")


def test_every_mistake_is_one_line_that_names_its_place(make, tmp_path):
  def says(words, *paths):
    with pytest.raises(UserError) as error:
      runs.rows(paths)
    assert words in str(error.value)
    assert "\n" not in str(error.value)

  done = make("done")
  says("incomplete", make("half", status="incomplete"))
  says(f"{done} and {make('again')} are the same seed 0", done, tmp_path / "again")
  broken = make("broken", "a")
  file = broken / "report" / "report.json"
  for text, words in [
    ("{", f"{file} cannot be read"),
    ("[]", "not a JSON object"),
    ('{"top1": 0.5}', "stored_params=None"),
    (json.dumps(REPORT | {"top1": float("nan")}), "top1=nan"),
  ]:
    file.write_text(text)
    says(words, done, broken)
  file.unlink()
  says("report.json does not exist", done, broken)
  (done / "config.json").write_text('{"name": "a"}')
  says("it has no model.kind", done)
  for place in ("absent", "done/status"):
    with pytest.raises(UserError, match="is no directory"):
      runs.find([tmp_path / place])
  (tmp_path / "empty").mkdir()
  with pytest.raises(UserError, match="holds no run"):
    runs.find([tmp_path / "empty"])


def with_data(path, examples, digest, classes=("cat", "dog")):
  split = {"examples": examples, "digest": digest}
  (path / "data.json").write_text(json.dumps({"train": split, "evaluation": split}))
  (path / "classes.json").write_text(json.dumps(classes))
  return path


def test_one_name_that_stands_for_other_data_is_another_setting(make):
  same = [with_data(make(str(i), "tile", seed(i)), 9, "a") for i in range(2)]
  rows, _ = runs.rows([*same, make("old", "tile", seed(2))])
  assert all("data" not in row for row in rows)
  others = [
    with_data(make("3", "tile", seed(3)), 8, "b"),
    with_data(make("4", "tile", seed(4)), 9, "a", ("cat", "emu")),
  ]
  rows, _ = runs.rows([*same, *others, make("5", "tile", seed(5))])
  data = [row["data"] for row in rows]
  assert data[0] == data[1]
  assert len(set(data)) == 4
  assert data[2].startswith("2 classes, 8+8 examples")
  assert data[4] == "unknown"
  # Not one mean over them, and a table that says so.
  summary = comparison.summarise(rows)
  assert sorted(row["n"] for row in summary) == [1, 1, 1, 2]
  assert "data" in comparison.cells(summary)[0]


def test_averaged_and_raw_weights_beside_each_other_are_marked(make):
  paths = [make("1", "a", report={"top1_ema": 0.9}), make("2", "b")]
  summary = comparison.summarise(runs.rows(paths)[0])
  headers, cells = comparison.cells(summary)
  assert {row[headers.index("weights")] for row in cells} == {"ema", "raw"}
  assert comparison.NOTE_WEIGHTS in comparison.table(summary)
  alike = comparison.summarise(runs.rows(paths, "raw")[0])
  assert "weights" not in comparison.cells(alike)[0]
  assert comparison.NOTE_WEIGHTS not in comparison.table(alike)
