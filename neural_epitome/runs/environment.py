"""What a run was made with: versions, the commit of the code, devices, the command."""

import importlib.metadata
import pathlib
import platform
import subprocess
from collections import Counter

import jax

_LIBRARIES = ("neural_epitome", "jax", "jaxlib", "flax", "numpy")
_SECONDS = 10.0


def describe(command: str | None) -> dict[str, str]:
  """Describes this process, so that the same run can be made again.

  Args:
    command: the command line; None for a call from Python.

  Returns:
    Texts by name: command, commit, python, versions of the libraries, devices, system.
    What is not known is left out.
  """
  kinds = Counter(device.device_kind for device in jax.devices())
  processes = jax.process_count()
  devices = ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
  variables = {
    "command": command,
    "commit": commit(pathlib.Path(__file__).parents[2]),
    "python": platform.python_version(),
    **{name: version(name) for name in _LIBRARIES},
    "devices": devices + (f" in {processes} processes" if processes > 1 else ""),
    "system": platform.platform(terse=True),
  }
  return {name: value for name, value in variables.items() if value is not None}


def commit(checkout: pathlib.Path) -> str | None:
  """The commit of a Git checkout, with a note if files differ from it.

  Args:
    checkout: the root of the checkout.

  Returns:
    None if the directory is not the root of a checkout, or Git is missing or fails.
  """
  # A package installed into an environment inside somebody's repository is not of it.
  if not (checkout / ".git").exists():
    return None
  head = _git(checkout, "rev-parse", "HEAD")
  if head is None:
    return None
  changed = _git(checkout, "status", "--porcelain", "--untracked-files=no")
  return f"{head} with local changes" if changed else head


def _git(checkout: pathlib.Path, *arguments: str) -> str | None:
  try:
    done = subprocess.run(
      ["git", "-C", str(checkout), *arguments],
      capture_output=True,
      text=True,
      timeout=_SECONDS,
      check=True,
    )
  except (OSError, subprocess.SubprocessError):
    return None
  return done.stdout.strip()


def version(name: str) -> str | None:
  """The installed version of a package; None where it is none, as a copied folder."""
  try:
    return importlib.metadata.version(name)
  except importlib.metadata.PackageNotFoundError:
    return None
