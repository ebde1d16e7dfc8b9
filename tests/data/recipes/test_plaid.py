"""The archive's `.ts` files, and PLAID as the package sktime carries it."""

import numpy as np
import pytest

from neural_epitome.data import prepare, sources
from neural_epitome.data.options import SignalOptions
from neural_epitome.data.recipes import plaid
from neural_epitome.errors import UserError

HEADER = "\ufeff# A comment\n@problemName PLAID\n@classLabel true 0 1\n@data\n"


def _write(folder, train, test):
  folder.mkdir(exist_ok=True)
  (folder / "PLAID_TRAIN.ts").write_text(HEADER + train, encoding="utf-8")
  (folder / "PLAID_TEST.ts").write_text(HEADER + test, encoding="utf-8")
  return folder


def test_series_of_any_length_and_number_of_channels_are_read(tmp_path):
  path = tmp_path / "a.ts"
  path.write_text(HEADER + "1,2.5,-3e-2:0\n\n4,5:6,7: b \n", encoding="utf-8")
  (first, first_label), (second, second_label) = plaid.read_ts(path)
  np.testing.assert_array_equal(first, np.float32([[1], [2.5], [-0.03]]), strict=True)
  np.testing.assert_array_equal(second, np.float32([[4, 6], [5, 7]]))
  assert (first_label, second_label) == ("0", "b")


@pytest.mark.parametrize("line", ["1,x,3:0", "1,?,3:0", "1,2:3:0", "0"])
def test_a_broken_line_is_named(tmp_path, line):
  path = tmp_path / "a.ts"
  path.write_text(HEADER + "1:0\n" + line, encoding="utf-8")
  with pytest.raises(UserError, match=r"a\.ts, line 6 is no labelled series"):
    plaid.read_ts(path)


def test_a_folder_of_the_two_files_is_prepared(tmp_path, capsys):
  source = _write(tmp_path / "ts", "0.5,1:10\n2,3,4:0\n", "7:3\n")
  arguments = ["plaid", f"--source={source}", f"--data_dir={tmp_path}"]
  assert prepare.main(arguments) == 0
  options = SignalOptions(dataset="plaid", data_dir=str(tmp_path))
  train = sources.open_source(options, "train")
  signals = {train.classes[e["label"]]: e["signal"] for e in (train[0], train[1])}
  np.testing.assert_array_equal(
    signals["washing machine"], np.float32([[0.5], [1]]), strict=True
  )
  np.testing.assert_array_equal(signals["air conditioner"][:, 0], [2, 3, 4])
  assert len(sources.open_source(options, "test")) == 1


@pytest.mark.parametrize(
  ("train", "words"), [("1,2:11\n", "class '11'"), ("", "no series")]
)
def test_other_files_are_refused(tmp_path, train, words):
  source = _write(tmp_path / "ts", train, "7:3\n")
  recipe = plaid.PlaidRecipe()
  parser = prepare.make_parser()
  options = parser.parse_args(["plaid", f"--source={source}", f"--data_dir={tmp_path}"])
  with pytest.raises(UserError, match=words):
    recipe.prepare(options)


def test_without_sktime_the_command_that_installs_it_is_told(monkeypatch):
  monkeypatch.setattr(plaid.importlib.util, "find_spec", lambda name: None)
  with pytest.raises(UserError, match="pip install --no-deps sktime"):
    plaid.find_plaid()


def test_sktimes_plaid_is_the_official_one():
  try:
    folder = plaid.find_plaid()
  except UserError:
    pytest.skip("sktime is not installed")
  train, test = (plaid.read_ts(folder / f"PLAID_{s}.ts") for s in ("TRAIN", "TEST"))
  assert len(train) == len(test) == 537
  lengths = [len(series) for series, _ in train + test]
  assert (min(lengths), max(lengths)) == (100, 1344)
  assert {label for _, label in train} == set(map(str, range(11)))
