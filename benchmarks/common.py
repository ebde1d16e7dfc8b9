"""What every benchmark writes: rows with the machine, versions and command in them."""

import csv
import importlib.metadata
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("jax", "flax", "optax", "numpy", "torch")


def circumstances(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
  """machine, versions and command, for each row."""
  versions = [f"python {platform.python_version()}"]
  for package in packages:
    try:
      versions.append(f"{package} {importlib.metadata.version(package)}")
    except importlib.metadata.PackageNotFoundError:
      continue
  # A script of a room is named with it, and the room for its __main__.
  file, root = Path(sys.argv[0]).resolve(), RESULTS.resolve().parents[1]
  inside = file.relative_to(root) if file.is_relative_to(root) else Path(file.name)
  name = ".".join(inside.with_suffix("").parts).removesuffix(".__main__")
  # Those this process may use, which taskset narrows.
  cores = (
    len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
  )
  return {
    "machine": f"{platform.machine()}, cores: {cores}",
    "versions": "; ".join(versions),
    "command": " ".join(["python", "-m", name, *map(_placeless, sys.argv[1:])]),
  }


def _placeless(argument: str) -> str:
  """An argument of the command line; a place of this machine alone is FILE."""
  flag, equals, value = argument.rpartition("=")
  return f"{flag}{equals}FILE" if Path(value).is_absolute() else argument


def write(
  name: str,
  rows: Sequence[dict[str, Any]],
  packages: Sequence[str] = PACKAGES,
  kept: Sequence[dict[str, Any]] = (),
) -> Path:
  """Writes results/NAME.csv whole, circumstances added to each row but to `kept`.

  Those are rows of the file as it was (see `read`), with circumstances of their own.
  """
  RESULTS.mkdir(exist_ok=True)
  path, metadata = RESULTS / f"{name}.csv", circumstances(packages)
  with path.open("w", newline="") as file:
    writer = csv.DictWriter(file, [*rows[0], *metadata])
    writer.writeheader()
    writer.writerows([*kept, *(row | metadata for row in rows)])
  return path


def read(name: str) -> list[dict[str, Any]]:
  """The rows of results/NAME.csv; none where it is not."""
  path = RESULTS / f"{name}.csv"
  if not path.exists():
    return []
  with path.open(newline="") as file:
    return list(csv.DictReader(file))


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
  """The median over rounds of ours over theirs."""
  return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
