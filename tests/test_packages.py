"""What must be installed for what, and the commands that say so."""

import configparser
import pathlib
import re
import sys

import pytest

from neural_epitome import packages
from neural_epitome.errors import UserError

ROOT = pathlib.Path(__file__).parents[1]


def listed(text):
  """The requirements of a file or of an option, without comments."""
  lines = (line.partition("#")[0].strip() for line in text.splitlines())
  return [line for line in lines if line]


@pytest.fixture(scope="module")
def settings():
  """setup.cfg."""
  parser = configparser.ConfigParser()
  parser.read(ROOT / "setup.cfg")
  return parser


def test_the_core_is_a_part_of_what_is_installed_without_being_asked():
  core = listed((ROOT / "requirements-core.txt").read_text())
  assert set(core) <= set(listed((ROOT / "requirements.txt").read_text()))


@pytest.mark.parametrize("extra", ["audio", "litert", "onnx"])
def test_the_command_installs_what_setup_cfg_says(settings, monkeypatch, extra):
  needed = listed(settings["options.extras_require"][extra])
  for module in needed:
    monkeypatch.setitem(sys.modules, module.replace("-", "_"), None)
  with pytest.raises(UserError) as caught:
    packages.needed(needed[0].replace("-", "_"), extra, "This")
  assert str(caught.value).endswith(f": pip install {' '.join(needed)}")


def test_what_is_needed_without_an_extra_is_requirements_txt():
  lines = [re.sub(r"\s", "", line) for line in packages.requirements()]
  assert sorted(lines) == sorted(listed((ROOT / "requirements.txt").read_text()))


def test_no_message_names_a_package_that_is_not_published():
  for file in (ROOT / "neural_epitome").rglob("*.py"):
    assert not re.search(r"pip install[^\n]*neural[_-]epitome", file.read_text()), file


def test_an_import_that_fails_where_all_is_installed_is_an_ordinary_error():
  with pytest.raises(ModuleNotFoundError, match="no_such_module"), packages.advised():
    import no_such_module  # noqa: F401


def test_every_room_is_installed(settings):
  rooms = {
    ".".join(file.parent.relative_to(ROOT).parts)
    for file in (ROOT / "neural_epitome").rglob("__init__.py")
  }
  beside = {"neural_epitome.experiments", "neural_epitome.launch"}
  assert set(listed(settings["options"]["packages"])) == rooms | beside
