"""The controls in docs/controls.md: python -m benchmarks.controls_report.

Writes the tables of results/controls.csv between the two markers of the page, and the
Pareto figures beside the CSV. Rows of the split `test` are results, rows of
`validation` are what was chosen by; runs of size `quick` check machinery and are left
out. The table of results/routing_study.csv goes between two markers of its own.
"""

import argparse
import csv
import os
import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmarks import common, control_methods, control_suites
from neural_epitome.errors import UserError
from neural_epitome.report import comparison, methods, pareto

KINDS = {
  "suite": str,
  "size": str,
  "backbone": str,
  "dataset": str,
  "split": str,
  "method": str,
  "rate": float,
  "seed": int,
  "stored_params": int,
  "stored_bytes": int,
  "madds": int,
  "top1": float,
}
STUDY = "routing_study.csv"
# Its columns that are shown, with their headings.
STUDIED = {
  "moved_mean": "moved, mean cells",
  "moved_largest": "largest",
  "moved_half_cell": "share over half a cell",
  "promise_1": "gradient vs jump of 1",
  "promise_4": "of 4",
  "promise_16": "of 16",
  "better_jumps": "jumps that help",
}
GROUP = ("suite", "size", "backbone", "dataset")

# A row of differences: the control, or the best of several at each rate.
CONTROLS = {
  "tile": ("tile",),
  "best fixed": methods.FIXED,
  "width": ("width",),
  "WSNet": ("wsnet",),
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


def block(rows: Sequence[Mapping[str, Any]], figures: Path, page: Path) -> str:
  """Tables in Markdown for all groups, and their figures on disk.

  Args:
    rows: of `read`.
    figures: directory of the PNGs.
    page: directory of the page, to which links are relative.
  """
  parts = []
  for group in dict.fromkeys(tuple(row[key] for key in GROUP) for row in rows):
    mine = [row for row in rows if tuple(row[key] for key in GROUP) == group]
    parts += [f"### {_title(group)}", *_group(group, mine, figures, page)]
  parts = parts or ["No run of this comparison has been made."]
  return "\n\n".join([*parts, *not_run(rows)])


def not_run(rows: Sequence[Mapping[str, Any]]) -> list[str]:
  """A table of the methods that lack three seeds on the test split, by setting."""
  seeds: dict[tuple, set[int]] = {}
  for row in rows:
    if row["split"] == "test":
      key = (*(row[name] for name in GROUP), row["method"], row["rate"])
      seeds.setdefault(key, set()).add(row["seed"])
  body = []
  for size in ("small", "full"):
    for suite in ("2d", "1d"):
      for setting in control_suites.settings(suite, size):
        group = (suite, size, setting.backbone, setting.dataset)
        told = _missing(setting, lambda *key, g=group: len(seeds.get((*g, *key), ())))
        if told:
          body.append([_title(group), told])
  if not body:
    return []
  table = tabulate(body, ["setting", "fewer than three seeds"], "pipe")
  return [
    "### Not run",
    "What lacks three seeds on the test split, by rate. A method that cannot reach the "
    "stored size stays here too.",
    table,
  ]


def _missing(setting: control_suites.Setting, count: Any) -> str:
  """Methods without three runs, by rate; `count(method, rate)` says how many."""
  parts = []
  for index, rate in enumerate(setting.rates):
    wanted = [
      (name, method.rates[0] if method.rates else rate)
      for name, method in control_methods.METHODS.items()
      if method.rates is None or not index
    ]
    missing = [name for name, at in wanted if count(name, at) < 3]
    if len(missing) == len(wanted):
      parts.append(f"rate {rate:g}: all")
    elif missing:
      names = ", ".join(f"`{name}`" for name in missing)
      parts.append(f"rate {rate:g}: {names}")
  return "; ".join(parts)


def _title(group: tuple[str, ...]) -> str:
  suite, size, backbone, dataset = group
  return f"{suite}, {size}: {backbone} on {dataset}"


def _group(
  group: tuple[str, ...],
  rows: Sequence[Mapping[str, Any]],
  figures: Path,
  page: Path,
) -> list[str]:
  tested = [row for row in rows if row["split"] == "test"]
  validated = [row for row in rows if row["split"] == "validation"]
  parts = []
  if tested:
    summary = comparison.summarise(
      tested, tuple(dict.fromkeys(row["method"] for row in tested))
    )
    parts += [
      "Top-1 on the test split, percent: mean ± standard deviation (seeds), by rate.",
      _accuracies(summary),
    ]
    if differences := _differences(summary):
      parts += [
        "Paired differences over common seeds, points: mean ± standard error (pairs). "
        "The best fixed control is the best at this rate on this very test split, "
        "which flatters it.",
        differences,
      ]
    for x in ("stored_params", "madds"):
      ending = "" if x == "stored_params" else f"_{x}"
      name = re.sub(r"[^\w.-]+", "_", "_".join(["controls", *group])) + ending
      about = f"top-1 against {pareto.LABELS[x]}"
      pareto.figure(summary, x, figures / f"{name}.png", f"{_title(group)}: {about}")
      link = Path(os.path.relpath((figures / f"{name}.png").resolve(), page)).as_posix()
      parts.append(f"![{_title(group)}: {about}]({link})")
  else:
    parts.append("Not run on the test split.")
  if validated:
    # Several trials of a method may share a seed; nothing is paired here.
    trials = [row | {"seed": number} for number, row in enumerate(validated)]
    parts += [
      "Choosing, on the validation split: mean ± standard deviation (runs), best.",
      _accuracies(comparison.summarise(trials, ()), _best(validated)),
    ]
  return parts


def _best(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, float], float]:
  best: dict[tuple[str, float], float] = {}
  for row in rows:
    key = (row["method"], row["rate"])
    best[key] = max(best.get(key, row["top1"]), row["top1"])
  return best


def _accuracies(
  summary: Sequence[comparison.Summary],
  best: Mapping[tuple[str, float], float] | None = None,
) -> str:
  cells: dict[tuple[str, float], str] = {}
  for row in summary:
    key = (row["method"], row["rate"])
    told = f", {best[key]:.2f}" if best else ""
    cells[key] = comparison.top1_text(row) + told
  rates = _rates(summary)
  names = sorted({row["method"] for row in summary}, key=methods.order)
  body = [[f"`{name}`", *(cells.get((name, r), "") for r in rates)] for name in names]
  # Dense and int8 are not of the rate's stored parameters.
  sizes = {
    rate: [
      row["stored_params"]
      for row in summary
      if row["rate"] == rate and methods.known(row["method"]) not in ("dense", "int8")
    ]
    for rate in rates
  }
  body.append(["stored parameters", *(_range(sizes[rate]) for rate in rates)])
  return _markdown(["method", *(f"rate {rate:g}" for rate in rates)], body)


def _range(values: Sequence[int]) -> str:
  if not values:
    return ""
  low, high = min(values), max(values)
  return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _differences(summary: Sequence[comparison.Summary]) -> str | None:
  learned = {row["rate"]: row for row in summary if row["method"] == "learned"}
  rates = sorted(learned)
  tops = {(row["method"], row["rate"]): row["top1"] for row in summary}
  body = []
  for control, members in CONTROLS.items():
    cells = []
    for rate in rates:
      present = [name for name in members if (name, rate) in tops]
      if not present:
        cells.append("")
        continue
      best = max(present, key=lambda name: tops[name, rate])
      found = learned[rate]["differences"][best]
      suffix = f", `{best}`" if found and len(members) > 1 else ""
      cells.append(comparison.difference_text(found) + suffix)
    if any(cells):
      body.append([f"learned {comparison.MINUS} {control}", *cells])
  headers = ["difference", *(f"rate {rate:g}" for rate in rates)]
  return _markdown(headers, body) if body else None


def _rates(summary: Sequence[comparison.Summary]) -> list[float]:
  return sorted({row["rate"] for row in summary})


def _markdown(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  align = ["left"] + ["right"] * (len(headers) - 1)
  return tabulate(rows, headers, "pipe", colalign=align, disable_numparse=True)


def study(path: Path) -> str:
  """The table of the study of offsets: means over seeds, by arm and rate."""
  if not path.is_file():
    return "The study has not been run."
  with path.open(newline="") as file:
    rows = list(csv.DictReader(file))
  body = []
  for arm, rate in dict.fromkeys((row["arm"], row["rate"]) for row in rows):
    mine = [row for row in rows if (row["arm"], row["rate"]) == (arm, rate)]
    tops = [float(row["top1"]) for row in mine]
    spread = f" ± {statistics.stdev(tops):.2f}" if len(tops) > 1 else ""
    cells = [f"`{arm}`", rate, f"{statistics.fmean(tops):.2f}{spread} ({len(tops)})"]
    for name in STUDIED:
      values = [float(row[name]) for row in mine if row[name]]
      cells.append(f"{statistics.fmean(values):.2f}" if values else "")
    body.append(cells)
  return _markdown(["arm", "rate", "top-1", *STUDIED.values()], body)


def replace(text: str, name: str, inside: str, where: str) -> str:
  """The page with another text between the markers of a name.

  Raises:
    UserError: if there is not one of each marker, in order.
  """
  first, last = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
  before, begin, rest = text.partition(first)
  _, end, after = rest.partition(last)
  if not begin or not end or first in rest or last in after:
    raise UserError(f"{where} needs one line {first} and below it one line {last}.")
  return f"{before}{first}\n\n{inside}\n\n{last}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
  """Reads the CSV, writes page and figures; returns the exit code."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  root = Path(__file__).resolve().parent.parent
  parser.add_argument("--csv", type=Path, default=common.RESULTS / "controls.csv")
  parser.add_argument("--page", type=Path, default=root / "docs" / "controls.md")
  parser.add_argument("--figures", type=Path, default=common.RESULTS)
  told = parser.parse_args(arguments)
  try:
    rows = read(told.csv)
    if not told.page.is_file():
      raise UserError(f"{told.page} does not exist.")
    where = str(told.page)
    text = told.page.read_text(encoding="utf-8")
    text = replace(text, "routing", study(told.csv.parent / STUDY), where)
    replace(text, "controls", "", where)  # before any figure is written
    inside = block(rows, told.figures, told.page.resolve().parent)
    told.page.write_text(replace(text, "controls", inside, where), encoding="utf-8")
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  print(told.page)
  return 0


if __name__ == "__main__":
  sys.exit(main())
