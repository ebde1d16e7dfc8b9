"""What was aimed at, and what was measured: a table of targets."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.controls.tables import GROUP, title
from benchmarks.pages import markdown
from neural_epitome.report import comparison, methods


@dataclasses.dataclass(frozen=True)
class Target:
  """A difference in points that a method is to reach.

  Attributes:
    suite: where.
    method: the method.
    controls: it is held against the best of these.
    rates: at which.
    points: the least difference of the means over common seeds.
  """

  suite: str
  method: str
  controls: tuple[str, ...]
  rates: tuple[float, ...]
  points: float


TARGETS = (
  Target("2d", "learned", ("tile",), (16.0, 8.0), 1.0),
  Target("2d", "learned", ("tile",), (4.0, 2.0), 0.0),
  Target("2d", "learned", methods.FIXED, (16.0, 8.0), 0.5),
  Target("2d", "learned", ("width",), (16.0,), 5.0),
  Target("2d", "learned_folded", ("dense",), (1.45,), 0.0),
  Target("1d", "learned", ("wsnet",), (16.0, 64.0), 6.5),
)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
  """A line for every target, setting and rate that was run on the test split."""
  runs: dict[tuple, dict[int, Mapping[str, Any]]] = {}
  groups = {}
  for row in rows:
    if row["split"] == "test":
      group = tuple(row[key] for key in GROUP)
      groups[group] = None
      # The dense network has no rate of its own to be compared at.
      rate = None if row["method"] == "dense" else row["rate"]
      runs.setdefault((group, row["method"], rate), {})[row["seed"]] = row
  body = []
  for target in TARGETS:
    for group in groups:
      if group[0] == target.suite:
        for rate in target.rates:
          cells = _measured(target, runs, group, rate)
          if cells:
            body.append([_aim(target), title(group), f"{rate:g}", *cells])
  if not body:
    return "Nothing that a target speaks of has been run."
  return markdown(["target", "setting", "rate", "measured", ""], body)


def _aim(target: Target) -> str:
  control = target.controls[0] if len(target.controls) == 1 else "best fixed"
  return f"{target.method} {comparison.MINUS} {control} ≥ {target.points:g}"


def _measured(
  target: Target,
  runs: Mapping[tuple, Mapping[int, Mapping[str, Any]]],
  group: tuple,
  rate: float,
) -> list[str] | None:
  ours = runs.get((group, target.method, rate))
  present = {
    name: theirs
    for name in target.controls
    if (theirs := runs.get((group, name, None if name == "dense" else rate)))
  }
  if not ours or not present:
    return None

  def mean(name: str) -> float:
    return sum(run["top1"] for run in present[name].values()) / len(present[name])

  best = max(present, key=mean)
  pair = comparison.paired(ours, present[best])
  if pair is None:
    return None
  named = f", `{best}` of {len(present)}" if len(target.controls) > 1 else ""
  verdict = "met" if pair["mean"] >= target.points else "missed"
  return [comparison.difference_text(pair) + named, verdict]
