"""The command that prepares data sets."""

import subprocess
import sys

import pytest

from neural_epitome.data import prepare
from neural_epitome.data.recipes import RECIPES


def test_the_command_prepares_and_tells_mistakes_in_one_line(idx_dir, tmp_path, capsys):
  arguments = ["fashion_mnist", f"--idx_dir={idx_dir}", f"--data_dir={tmp_path}"]
  assert prepare.main(arguments) == 0
  assert "Prepared" in capsys.readouterr().out
  assert prepare.main(arguments) == 1
  assert capsys.readouterr().err.count("\n") == 1
  assert prepare.main(["convert", f"--data_dir={tmp_path}"]) == 1
  assert "--from_dir" in capsys.readouterr().err


def test_the_module_runs_as_a_command():
  command = [sys.executable, "-m", "neural_epitome.data.prepare", "--help"]
  done = subprocess.run(command, capture_output=True, text=True, timeout=60)
  assert done.returncode == 0
  assert all(name in done.stdout for name in RECIPES)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_has_a_page_of_help(name, capsys):
  with pytest.raises(SystemExit, match="0"):
    prepare.main([name, "--help"])
  assert "--data_dir" in capsys.readouterr().out


def test_a_name_that_is_no_recipe_is_looked_up_in_tfds(tmp_path, capsys):
  assert prepare.main(["no_such_set", f"--data_dir={tmp_path}"]) == 1
  assert "TFDS has no data set 'no_such_set'" in capsys.readouterr().err
