"""Beside the tables of the comparison: its digest, what lacks runs, the offsets."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tabulate import tabulate

from benchmarks.controls import methods as control_methods
from benchmarks.controls import suites as control_suites
from benchmarks.controls.tables import GROUP, rates_of, title
from benchmarks.pages import markdown
from neural_epitome.report import comparison, methods

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


def not_run(rows: Sequence[Mapping[str, Any]]) -> str:
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
        missing = _missing(
          setting, lambda *key, g=group: len(seeds.get((*g, *key), ()))
        )
        if missing:
          body.append([title(group), missing])
  if not body:
    return "Every setting has three seeds."
  table = tabulate(body, ["setting", "fewer than three seeds"], "pipe")
  return (
    "What lacks three seeds on the test split, by rate. A method that cannot reach the "
    f"stored size stays here too.\n\n{table}"
  )


def _missing(
  setting: control_suites.Setting, count: Callable[[str, float], int]
) -> str:
  """Methods without three runs, by rate; `count(method, rate)` says how many."""
  parts = []
  for index, rate in enumerate(setting.rates):
    at_rate = list(control_methods.methods_at(setting.rates, setting.brief, index))
    missing = [name for name, at in at_rate if count(name, at) < 3]
    if len(missing) == len(at_rate):
      parts.append(f"rate {rate:g}: all")
    elif missing:
      names = ", ".join(f"`{name}`" for name in missing)
      parts.append(f"rate {rate:g}: {names}")
  return "; ".join(parts)


def digest(rows: Sequence[Mapping[str, Any]]) -> str:
  """One line a small setting and rate: what the recommended form stands against."""
  body = []
  for group in dict.fromkeys(tuple(row[key] for key in GROUP) for row in rows):
    tested = [
      row
      for row in rows
      if tuple(row[key] for key in GROUP) == group
      and (row["split"], row["size"]) == ("test", "small")
    ]
    summary = comparison.summarise(tested, ())
    dense = next((row for row in summary if row["method"] == "dense"), None)
    for rate in rates_of(summary):
      by_method = {row["method"]: row for row in summary if row["rate"] == rate}
      if "learned" not in by_method:
        continue
      fixed = [by_method[name] for name in methods.FIXED if name in by_method]
      best = max(fixed, key=lambda row: row["top1"], default=None)
      compared = [
        dense,
        by_method.get("width"),
        by_method.get("tile"),
        best,
        by_method["learned"],
      ]
      cells = [comparison.top1_text(row) if row else "" for row in compared]
      if best:
        cells[-2] += f", `{best['method']}` of {len(fixed)}"
      _, _, backbone, dataset = group
      size = f"{by_method['learned']['stored_params']:,}"
      body.append([f"{backbone}, {dataset}", f"{rate:g}", size, *cells])
  heads = ["setting", "rate", "stored", "dense", "`width`", "`tile`", "best fixed"]
  return markdown([*heads, "`learned`"], body)


def study(rows: Sequence[Mapping[str, str]]) -> str:
  """The table of the study of offsets: means over seeds, by arm and rate."""
  if not rows:
    return "The study has not been run."
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
  return markdown(["arm", "rate", "top-1", *STUDIED.values()], body)
