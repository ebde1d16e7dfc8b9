"""Tables of the comparison, in Markdown, and its figures."""

import os
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmarks import control_methods, control_suites
from neural_epitome.report import comparison, methods, pareto

GROUP = ("suite", "size", "backbone", "dataset")

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

# A row of differences: the control, or the best of several at each rate.
CONTROLS = {
  "tile": ("tile",),
  "best fixed": methods.FIXED,
  "width": ("width",),
  "WSNet": ("wsnet",),
}


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
    wanted = list(control_methods.methods_at(setting.rates, setting.brief, index))
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
    if folded := _folded(tested):
      parts.append(folded)
    if differences := _differences(summary):
      parts += [
        "Paired differences over common seeds, points: mean ± standard error (pairs). "
        "The best fixed control is the best at this rate on this very test split, "
        "which flatters it, of as many as were run.",
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
  if chosen := {row["method"]: row["trial"] for row in tested}:
    told = (f"`{name}` {chosen[name]}" for name in sorted(chosen, key=methods.order))
    parts.append(f"Chosen: {'; '.join(told)}.")
  return parts


def _folded(rows: Sequence[Mapping[str, Any]]) -> str | None:
  """What folding saves and costs, against the dense network."""
  runs = {
    name: {row["seed"]: row for row in rows if row["method"] == name}
    for name in ("learned_folded", "dense")
  }
  found = comparison.paired(runs["learned_folded"], runs["dense"])
  if found is None:
    return None
  madds = [next(iter(mine.values()))["madds"] for mine in runs.values()]
  return (
    f"`learned_folded` runs {madds[0] / madds[1]:.2f} of the dense network's "
    f"multiply-adds; its top-1 minus the dense one's: "
    f"{comparison.difference_text(found)}."
  )


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
      suffix = f", `{best}` of {len(present)}" if found and len(members) > 1 else ""
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
    for rate in _rates(summary):
      found = {row["method"]: row for row in summary if row["rate"] == rate}
      if "learned" not in found:
        continue
      fixed = [found[name] for name in methods.FIXED if name in found]
      best = max(fixed, key=lambda row: row["top1"], default=None)
      told = [dense, found.get("width"), found.get("tile"), best, found["learned"]]
      cells = [comparison.top1_text(row) if row else "" for row in told]
      if best:
        cells[-2] += f", `{best['method']}` of {len(fixed)}"
      _, _, backbone, dataset = group
      size = f"{found['learned']['stored_params']:,}"
      body.append([f"{backbone}, {dataset}", f"{rate:g}", size, *cells])
  heads = ["setting", "rate", "stored", "dense", "`width`", "`tile`", "best fixed"]
  return _markdown([*heads, "`learned`"], body)


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
  return _markdown(["arm", "rate", "top-1", *STUDIED.values()], body)
