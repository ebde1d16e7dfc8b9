"""Experiments are found by name or by path."""

import pytest

from neural_epitome.errors import UserError
from neural_epitome.experiment import load_experiment, shipped, summary


def test_every_experiment_of_the_first_release_is_shipped_and_described():
  expected = {
    "mbv2_dense",
    "mbv2_epitome",
    "mbv2_tile",
    "mbv2_width",
    "mbv2_epitome_imagenet",
    "resnet20_epitome",
    "quick",
  }
  assert expected <= set(shipped())
  assert all(summary(file).endswith(".") for file in shipped().values())


def test_a_users_own_file_may_build_on_a_shipped_one(tmp_path):
  file = tmp_path / "mine.py"
  file.write_text(
    "import dataclasses\n"
    "from experiments.quick import CONFIG as QUICK\n"
    "CONFIG = dataclasses.replace(QUICK, execution='fold')\n"
  )
  loaded = load_experiment(file)
  assert (loaded.name, loaded.execution) == ("mine", "fold")


@pytest.mark.parametrize(
  ("text", "words"),
  [
    ("x = 1\n", "must set CONFIG"),
    ("import nowhere\n", "nowhere"),
    ("1 +\n", "Syntax"),
  ],
)
def test_a_file_that_is_no_experiment_is_refused_in_one_line(tmp_path, text, words):
  file = tmp_path / "mine.py"
  file.write_text(text)
  with pytest.raises(UserError, match=words) as caught:
    load_experiment(file)
  assert "\n" not in str(caught.value)


def test_an_unknown_name_brings_the_nearest():
  with pytest.raises(UserError, match="mbv2_epitome"):
    load_experiment("mbv2_epitom")
  with pytest.raises(UserError, match="no experiment file"):
    load_experiment("absent.py")
