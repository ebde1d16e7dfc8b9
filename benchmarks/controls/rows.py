"""The CSV of the comparison: its columns, what a row is known by, which trial won."""

import csv
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

COLUMNS = (
  "suite",
  "size",
  "backbone",
  "dataset",
  "split",
  "method",
  "rate",
  "seed",
  "stored_params",
  "stored_bytes",
  "madds",
  "top1",
  "seconds",
  "device",
  "commit",
  "command",
  "trial",
)
# A run is known by these; the rest is what it found.
KEY = ("suite", "size", "backbone", "dataset", "split", "method", "rate", "seed")


def key(row: dict[str, Any], with_trial: bool) -> tuple[str, ...]:
  """What a row is known by, as text; numbers in one spelling."""
  values = [row[name] for name in KEY] + [row["trial"]] * with_trial
  return tuple(f"{float(v):g}" if _is_number(v) else str(v) for v in values)


def _is_number(value: Any) -> bool:
  try:
    float(value)
  except ValueError:
    return False
  return True


def read(path: Path) -> list[dict[str, str]]:
  """The rows that are there."""
  if not path.exists():
    return []
  with path.open(newline="") as file:
    return list(csv.DictReader(file))


def append(path: Path, row: dict[str, Any], columns: Sequence[str] = COLUMNS) -> None:
  """Adds a row; a column that it lacks stays empty."""
  path.parent.mkdir(parents=True, exist_ok=True)
  with path.open("a", newline="") as file:
    writer = csv.DictWriter(file, columns)
    if file.tell() == 0:
      writer.writeheader()
    writer.writerow(row)


def trial_text(options: Mapping[str, Any]) -> str:
  """How the column `trial` spells the options of a trial."""
  return " ".join(f"{name}={value}" for name, value in options.items())


def trial_means(
  rows: Iterable[Mapping[str, str]], conditions: Mapping[str, str]
) -> dict[str, float]:
  """Mean top-1 of each trial over the rows that agree with `conditions`."""
  by_trial: dict[str, list[float]] = {}
  for row in rows:
    if all(row[name] == value for name, value in conditions.items()):
      by_trial.setdefault(row["trial"], []).append(float(row["top1"]))
  return {trial: statistics.fmean(tops) for trial, tops in by_trial.items()}


def commit() -> str:
  """The commit the numbers are of, marked if files other than results differ."""

  def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
      ["git", *arguments],
      capture_output=True,
      text=True,
      cwd=Path(__file__).parent,
      check=False,
    )

  revision = git("rev-parse", "--short=10", "HEAD").stdout.strip()
  if not revision:
    return "unknown"
  # Results are tracked too, and every row that is appended changes them.
  differs = git("diff", "--quiet", "HEAD", "--", ":/", ":(top,exclude)*/results/*")
  return revision + "-dirty" * (differs.returncode != 0)
