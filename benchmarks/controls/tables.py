"""Tables of the comparison, in Markdown, and its figures."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.pages import markdown
from neural_epitome.report import comparison, methods, pareto

GROUP = ("suite", "size", "backbone", "dataset")

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
    parts += [f"### {title(group)}", *_group(group, mine, figures, page)]
  return "\n\n".join(parts or ["No run of this comparison has been made."])


def title(group: tuple[str, ...]) -> str:
  """How a group of `GROUP`'s values is called."""
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
      pareto.figure(summary, x, figures / f"{name}.png", f"{title(group)}: {about}")
      link = Path(os.path.relpath((figures / f"{name}.png").resolve(), page)).as_posix()
      parts.append(f"![{title(group)}: {about}]({link})")
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
    choices = (f"`{name}` {chosen[name]}" for name in sorted(chosen, key=methods.order))
    parts.append(f"Chosen: {'; '.join(choices)}.")
  return parts


def _folded(rows: Sequence[Mapping[str, Any]]) -> str | None:
  """What folding saves and costs, against the dense network."""
  runs = {
    name: {row["seed"]: row for row in rows if row["method"] == name}
    for name in ("learned_folded", "dense")
  }
  difference = comparison.paired(runs["learned_folded"], runs["dense"])
  if difference is None:
    return None
  madds = [next(iter(mine.values()))["madds"] for mine in runs.values()]
  return (
    f"`learned_folded` runs {madds[0] / madds[1]:.2f} of the dense network's "
    f"multiply-adds; its top-1 minus the dense one's: "
    f"{comparison.difference_text(difference)}."
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
    suffix = f", {best[key]:.2f}" if best else ""
    cells[key] = comparison.top1_text(row) + suffix
  rates = rates_of(summary)
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
  return markdown(["method", *(f"rate {rate:g}" for rate in rates)], body)


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
      difference = learned[rate]["differences"][best]
      suffix = (
        f", `{best}` of {len(present)}" if difference and len(members) > 1 else ""
      )
      cells.append(comparison.difference_text(difference) + suffix)
    if any(cells):
      body.append([f"learned {comparison.MINUS} {control}", *cells])
  headers = ["difference", *(f"rate {rate:g}" for rate in rates)]
  return markdown(headers, body) if body else None


def rates_of(summary: Sequence[comparison.Summary]) -> list[float]:
  """The rates there are, ascending."""
  return sorted({row["rate"] for row in summary})
