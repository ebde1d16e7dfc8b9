"""What other installed packages add, found through their entry points.

A package names what it adds in its own metadata, one line a kind:

    [options.entry_points]
    neural_epitome.generators =
        toeplitz = my_package.toeplitz

Its name is the `kind`, or the name on the command line, and its value the module that
defines it. Nothing is imported before that name is asked for: a package that fails to
import stands in nobody's way but that of its own users.

The groups are `neural_epitome.` generators (and their rules), models, planners,
strategies, policies, recipes (data sets) and exports (formats of files).
"""

import functools
from importlib import metadata
from typing import Any

from neural_epitome.errors import UserError


def names(group: str) -> list[str]:
  """What other packages offer in a group, by name; nothing is imported.

  Args:
    group: the last word of the entry points' group: `generators`.
  """
  return sorted(_entry_points(group))


def load(group: str, name: str) -> Any:
  """The module, or the object in it, that a package offers under a name.

  Args:
    group: as of `names`.
    name: of the entry point.

  Returns:
    None if no installed package has it.

  Raises:
    UserError: if it does not import, naming the package.
  """
  entry_point = _entry_points(group).get(name)
  if entry_point is None:
    return None
  try:
    return entry_point.load()
  except Exception as error:
    raise UserError(
      f"{name!r} is of the package {package(group, name)}, and its module "
      f"{entry_point.module} does not import: {type(error).__name__}: {error}."
    ) from error


def package(group: str, name: str) -> str:
  """Name and version of the package that offers it."""
  distribution = _entry_points(group)[name].dist
  return f"{distribution.name} {distribution.version}" if distribution else "unknown"


@functools.cache
def _entry_points(group: str) -> dict[str, metadata.EntryPoint]:
  entry_points = metadata.entry_points(group=f"neural_epitome.{group}")
  return {entry_point.name: entry_point for entry_point in entry_points}
