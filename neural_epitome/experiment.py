"""Experiments, found by name in `experiments/` or by the path of a user's own file.

An experiment is a Python file that sets `CONFIG`, a `config.Config`; its docstring
is its description. It is imported as a module, never executed as a script.
"""

import ast
import dataclasses
import importlib.util
import os
import sys
from pathlib import Path

from neural_epitome import codec
from neural_epitome.config import Config, checked
from neural_epitome.errors import UserError

_PACKAGE = Path(__file__).resolve().parent


def directory() -> Path:
  """The folder of the shipped experiments, in the checkout or under the package."""
  checkout = _PACKAGE.parent / "experiments"
  return (
    checkout if (checkout / "mbv2_epitome.py").exists() else _PACKAGE / "experiments"
  )


def shipped() -> dict[str, Path]:
  """Files of the shipped experiments by name."""
  files = sorted(directory().glob("*.py"))
  return {file.stem: file for file in files if not file.stem.startswith("_")}


def summary(file: Path) -> str:
  """The first line of an experiment's docstring, read without importing it."""
  text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
  return text.partition("\n")[0]


def load_experiment(name: str | os.PathLike) -> Config:
  """Loads an experiment.

  Args:
    name: of a shipped experiment, or the path of a Python file.

  Returns:
    Its configuration, named after the file.

  Raises:
    UserError: if there is no such experiment or file, the file fails or sets no
      CONFIG, or a field has a wrong type or is out of its domain.
  """
  name = os.fspath(name)
  known = shipped()
  file = Path(name) if name.endswith(".py") else known.get(name)
  if file is None:
    raise UserError(f"There is no experiment {name!r}.{codec.nearest(name, known)}")
  if not file.is_file():
    raise UserError(f"There is no experiment file {name!r}.")
  # Experiments may import shipped ones, to differ from them in one line, and files
  # that lie beside them.
  spec = importlib.util.spec_from_file_location(f"experiments.{file.stem}", file)
  assert spec is not None
  assert spec.loader is not None
  module = importlib.util.module_from_spec(spec)
  search = [str(directory().parent), str(file.resolve().parent)]
  sys.path[:0] = search
  try:
    spec.loader.exec_module(module)
  except UserError:
    raise
  except Exception as error:
    raise UserError(f"{file} fails: {type(error).__name__}: {error}.") from error
  finally:
    del sys.path[: len(search)]
  config = getattr(module, "CONFIG", None)
  if not isinstance(config, Config):
    raise UserError(f"{file} must set CONFIG to a neural_epitome.config.Config.")
  return checked(dataclasses.replace(config, name=file.stem))
