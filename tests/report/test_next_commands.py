import shlex

import pytest
from absl import flags as absl_flags
from absl.testing import flagsaver

from neural_epitome import flags
from neural_epitome.report import next_commands

DIRECTORIES = ["run", "a b", "it's $HOME", "übung;1", "-x", 'x"y']


def parsed(line):
  """What the real parser makes of a command: mode, workdir, images, output."""
  words = shlex.split(line)
  assert words[:3] == ["python", "-m", "neural_epitome.main"]
  with flagsaver.flagsaver():
    rest, overrides = flags.parse(["main", *words[3:]])
    assert (rest, overrides) == ([], [])
    assert flags.MODE.value in flags.MODES
    values = flags.MODE.value, flags.workdir(), flags.IMAGES.value, flags.OUTPUT.value
  absl_flags.FLAGS.unparse_flags()
  return values


@pytest.mark.parametrize("name", DIRECTORIES)
def test_commands_name_the_directory_whatever_its_name(name, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  example = tmp_path / name / "report" / "example.png"
  example.parent.mkdir(parents=True)
  example.write_bytes(b"")
  commands = next_commands.next_commands(name)
  by_mode = {mode: parsed(line) for mode, line in commands.items()}
  assert list(by_mode) == ["evaluate", "predict", "export"]
  for mode, (own_mode, workdir, images, output) in by_mode.items():
    assert own_mode == mode
    assert workdir.resolve() == tmp_path / name
    if mode == "predict":
      [image] = images
      assert (tmp_path / image).samefile(example)
    if mode == "export":
      assert output == f"{name}/exported"


def test_without_an_example_there_is_nothing_to_predict(tmp_path):
  assert list(next_commands.next_commands(tmp_path)) == ["evaluate", "export"]
