"""Packages that only a part of this one needs, and the command that installs them.

Which they are is read from the metadata of the installed package, where setup.cfg and
requirements.txt put it. So a message names packages that exist, wherever this one came
from.
"""

import contextlib
import importlib
import re
import shlex
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from neural_epitome.errors import UserError

_NAME = "neural_epitome"
_EXTRA = re.compile(r"extra\s*==\s*['\"](.+?)['\"]")


def needed(module: str, extra: str, what: str) -> Any:
  """A module of an optional package, imported.

  Args:
    module: its name.
    extra: of this package that installs it, as in setup.cfg.
    what: needs it: `--format=onnx`.

  Raises:
    UserError: if it is not installed, with the command that installs the extra.
  """
  try:
    return importlib.import_module(module)
  except (ImportError, OSError) as error:  # OSError: a library that it loads is missing
    package = module.partition(".")[0]
    cause = "" if isinstance(error, ModuleNotFoundError) else f" ({error})"
    command = install_command(requirements(extra) or [package])
    raise UserError(f"{what} needs {package}{cause}: {command}") from None


@contextlib.contextmanager
def advised() -> Iterator[None]:
  """Imports that fail for want of a package of the full installation say which.

  Raises:
    UserError: with the command that installs all that this environment lacks. Errors
      of other imports, and those where nothing is lacking, are raised as they are.
  """
  try:
    yield
  except ModuleNotFoundError as error:
    lacking = [line for line in requirements() if not _is_installed(line)]
    if not lacking or (error.name or "").startswith(_NAME):
      raise
    raise UserError(
      f"This needs {error.name}, which the core alone does not have: "
      + install_command(lacking)
    ) from error


def requirements(extra: str = "") -> list[str]:
  """What setup.cfg asks for under an extra; without one, what this package needs.

  Empty where the package is not installed.
  """
  try:
    lines = metadata.requires(_NAME) or []
  except metadata.PackageNotFoundError:
    return []
  matching = []
  for line in lines:
    requirement, _, marker = line.partition(";")
    of = _EXTRA.search(marker)
    if (of[1] if of else "") == extra:
      matching.append(requirement.strip())
  return matching


def install_command(lines: list[str]) -> str:
  """The command that installs these requirements."""
  return shlex.join(["pip", "install", *lines])


def _is_installed(requirement: str) -> bool:
  name = re.match(r"[\w.-]+", requirement)
  try:
    metadata.version(name[0] if name else requirement)
  except metadata.PackageNotFoundError:
    return False
  return True
