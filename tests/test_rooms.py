"""CONTRIBUTING.md and setup.cfg name the rooms that the package has."""

import configparser
import re

import pytest

from tests.pages import ROOT

PACKAGE = ROOT / "neural_epitome"


@pytest.fixture(scope="module")
def settings():
  """setup.cfg."""
  parser = configparser.ConfigParser()
  parser.read(ROOT / "setup.cfg")
  return parser


@pytest.fixture(scope="module")
def layers(settings):
  """The names of each layer of the import contract, highest first."""
  lines = settings["importlinter:contract:floors"]["layers"].strip().splitlines()
  return [re.split(r"[|: ]+", line.strip()) for line in lines]


def rooms_of_the_table():
  """The rooms of CONTRIBUTING.md, row by row: `data/`, `codec.py`."""
  text = (ROOT / "CONTRIBUTING.md").read_text()
  table = text.partition("| floor | rooms |")[2].partition("\n\n")[0]
  rows = [line.split("|")[2] for line in table.splitlines()[2:]]
  return [room for row in rows for room in re.findall(r"`(\w+(?:/|\.py))`", row)]


def test_the_table_of_rooms_names_every_room_and_module_once():
  folders = {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
  modules = {path.name for path in PACKAGE.glob("[!_]*.py")}
  assert sorted(rooms_of_the_table()) == sorted(folders | modules)


def test_the_rows_of_the_table_have_the_order_of_the_import_contract(layers):
  height = {name: row for row, names in enumerate(layers) for name in names}
  rows = [
    height[room.removesuffix("/").removesuffix(".py")] for room in rooms_of_the_table()
  ]
  assert rows == sorted(rows)


def test_every_room_is_installed(settings):
  packages = set(settings["options"]["packages"].split())
  folders = {path.parent for path in PACKAGE.rglob("__init__.py")}
  names = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
  assert packages == names | {"neural_epitome.experiments", "neural_epitome.launch"}
