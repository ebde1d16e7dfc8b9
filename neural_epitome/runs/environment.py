"""With what a run was made: versions, the commit of the code, devices, the command."""

import importlib.metadata
import pathlib
import platform
import subprocess
from collections import Counter

import jax

_LIBRARIES = ("neural_epitome", "jax", "jaxlib", "flax", "numpy")
_SECONDS = 10.0


def describe(command: str | None) -> dict[str, str]:
  """What it takes to make the same run again, by name, in words.

  Args:
    command: the command line; None for a call from Python.
  """
  kinds = Counter(device.device_kind for device in jax.devices())
  processes = jax.process_count()
  devices = ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
  found = {
    "command": command,
    "commit": commit(pathlib.Path(__file__).parents[2]),
    "python": platform.python_version(),
    **{name: _version(name) for name in _LIBRARIES},
    "devices": devices + (f" in {processes} processes" if processes > 1 else ""),
    "system": platform.platform(terse=True),
  }
  return {name: value for name, value in found.items() if value is not None}


def commit(checkout: pathlib.Path) -> str | None:
  """The commit of a Git checkout, with a note if files differ from it.

  Returns:
    None where the directory is no checkout's root or Git cannot be asked.
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


def _version(name: str) -> str | None:
  try:
    return importlib.metadata.version(name)
  except importlib.metadata.PackageNotFoundError:
    return None
