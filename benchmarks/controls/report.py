"""The controls in docs/results/controls.md: python -m benchmarks.controls.report.

Writes the tables of results/controls.csv and results/routing_study.csv between the
markers of the page, a line a setting between those of index.md beside it, and the
Pareto figures beside the CSV. Rows of the split `test` are results, rows of
`validation` are what was chosen by; runs of size `quick` check machinery and are left
out.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import common, pages
from benchmarks.controls import (
  digest as controls_digest,
)
from benchmarks.controls import (
  rows as control_rows,
)
from benchmarks.controls import (
  tables as controls_tables,
)
from benchmarks.controls import (
  targets as controls_targets,
)
from neural_epitome.errors import UserError

STUDY = "routing_study.csv"
KINDS = {
  "suite": str,
  "size": str,
  "backbone": str,
  "dataset": str,
  "split": str,
  "method": str,
  "trial": str,
  "rate": float,
  "seed": int,
  "stored_params": int,
  "stored_bytes": int,
  "madds": int,
  "top1": float,
}


def read(path: Path) -> list[dict[str, Any]]:
  """The rows of the CSV, typed.

  Raises:
    UserError: naming the file, and the line that cannot be read.
  """
  if not path.is_file():
    raise UserError(f"{path} does not exist; python -m benchmarks.controls makes it.")
  rows = []
  with path.open(newline="") as file:
    reader = csv.DictReader(file)
    missing = [key for key in KINDS if key not in (reader.fieldnames or [])]
    if missing:
      raise UserError(f"{path} has no column {', '.join(missing)}.")
    for row in reader:
      try:
        rows.append({key: kind(row[key]) for key, kind in KINDS.items()})
      except (TypeError, ValueError) as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}.") from None
  return [row for row in rows if row["size"] != "quick"]


def main(arguments: Sequence[str] | None = None) -> int:
  """Reads the CSV, writes page and figures; returns the exit code."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--csv", type=Path, default=common.RESULTS / "controls.csv")
  parser.add_argument("--page", type=Path, default=pages.DOCS / "controls.md")
  parser.add_argument("--overview", type=Path, default=pages.DOCS / "index.md")
  parser.add_argument("--figures", type=Path, default=common.RESULTS)
  options = parser.parse_args(arguments)
  try:
    rows, study = read(options.csv), control_rows.read(options.csv.parent / STUDY)
    overview = pages.edit(options.overview, {"digest": controls_digest.digest(rows)})
    parts = {
      "controls": "",
      "targets": controls_targets.table(rows),
      "missing": controls_digest.not_run(rows),
      "routing": controls_digest.study(study),
    }
    pages.edit(options.page, parts)  # before any figure is written
    folder = options.page.resolve().parent
    parts["controls"] = controls_tables.block(rows, options.figures, folder)
    page = pages.edit(options.page, parts)
    options.page.write_text(page, encoding="utf-8")
    options.overview.write_text(overview, encoding="utf-8")
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  print(options.page, options.overview)
  return 0


if __name__ == "__main__":
  sys.exit(main())
