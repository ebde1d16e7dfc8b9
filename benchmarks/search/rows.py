"""results/search.csv: a row an answer, added as it is known."""

import csv
import json
from pathlib import Path
from typing import Any

from benchmarks import common

COLUMNS = [
  *("experiment", "dataset", "strategy", "seed", "stage", "seconds", "evaluations"),
  *("top1", "worst_top1", "latency_ms", "madds", "stored_bytes", "kendall_tau"),
  *("device", "command"),
]
Row = dict[str, Any]


class Table:
  """The rows of one experiment on one data set, in a file that has others too."""

  def __init__(self, path: Path, experiment: str, dataset: str, command: str):
    """Reads what is there."""
    self.path = path
    # The command says what else the rows depend on.
    self._same = {"experiment": experiment, "dataset": dataset, "command": command}
    self._rows: list[Row] = []
    if path.exists():
      with path.open(newline="") as file:
        self._rows = [row for row in csv.DictReader(file) if self._is_mine(row)]

  def _is_mine(self, row: Row) -> bool:
    return all(row[name] == value for name, value in self._same.items())

  def find(self, strategy: str, seed: int, stage: str) -> Row | None:
    """The row of an answer, if it is known."""
    key = (strategy, str(seed), stage)
    matches = (r for r in self._rows if (r["strategy"], r["seed"], r["stage"]) == key)
    return next(matches, None)

  def add(self, strategy: str, seed: int, stage: str, **values: Any) -> None:
    """Appends a row, and prints what is in it."""
    row = dict.fromkeys(COLUMNS, "") | values | self._same
    row |= {"strategy": strategy, "seed": str(seed), "stage": stage}
    row["device"] = common.circumstances(("jax",))["machine"]
    self._rows.append({name: str(value) for name, value in row.items()})
    is_new = not self.path.exists()
    self.path.parent.mkdir(exist_ok=True)
    with self.path.open("a", newline="") as file:
      writer = csv.DictWriter(file, COLUMNS)
      if is_new:
        writer.writeheader()
      writer.writerow(row)
    print(json.dumps({k: v for k, v in row.items() if v != ""}), flush=True)
