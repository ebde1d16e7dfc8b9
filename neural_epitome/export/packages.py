"""Packages that one format needs, and that nothing else does."""

import importlib
from typing import Any

from neural_epitome.errors import UserError


def needed(name: str, extra: str) -> Any:
  """A module, imported.

  Args:
    name: of the module.
    extra: of this package that installs it, named as the format is.

  Raises:
    UserError: if it is not installed.
  """
  try:
    return importlib.import_module(name)
  except ModuleNotFoundError:
    package = name.partition(".")[0]
    raise UserError(
      f"--format={extra} needs {package}: pip install 'neural_epitome[{extra}]'."
    ) from None
