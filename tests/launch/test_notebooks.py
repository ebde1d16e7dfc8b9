"""Notebooks and their sources; CI runs them too (.ci/run)."""

import ast
import importlib
import json
import warnings
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "launch" / "colab"
SOURCES = sorted(FOLDER.glob("*.py"))


def cells(notebook):
  return [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]


def generated(source):
  return json.loads(source.with_suffix(".ipynb").read_text())


def code(source):
  return [text for kind, text in cells(generated(source)) if kind == "code"]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_is_what_its_source_says(source):
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("jupytext")
    jupytext = importlib.import_module("jupytext")
  notebook = generated(source)
  assert cells(notebook) == cells(jupytext.read(source)), (
    f"jupytext --update --to ipynb {source}"
  )
  assert not any(cell.get("outputs") for cell in notebook["cells"])


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_cells_are_python_and_import_no_tensorflow(source):
  trees = [ast.parse(text) for text in code(source)]
  imported = {
    name.name if isinstance(node, ast.Import) else node.module
    for tree in trees
    for node in ast.walk(tree)
    if isinstance(node, ast.Import | ast.ImportFrom)
    for name in node.names
  }
  assert "neural_epitome" in imported
  assert not {name for name in imported if name.startswith("tensorflow")}


def test_all_notebooks_install_the_package_alike():
  assert len(SOURCES) == 3
  assert len({code(source)[0] for source in SOURCES}) == 1
  assert "--constraint" in code(SOURCES[0])[0]
