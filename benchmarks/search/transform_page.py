"""Tables of docs/results/transform.md, from results/transform.csv."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks import pages
from neural_epitome.report.comparison import MINUS

PAGE = pages.DOCS / "transform.md"
# By the name of an arm, as people call it.
NAMES = {
  "identity": "as it was given",
  "random_nat": "best of 10 random, NAT's rule",
  "random_nat++": "best of 10 random, NAT++'s rule",
  "nat": "NAT",
  "nat++": "NAT++",
  "climb": "ascent that asks about each cell",
  "blind": "NAT++ that sees no graph",
  "one_kind": "not told normal from reduction cells",
  "no_loops": "without loops (A in place of A + I)",
  "moving": "moving mean as baseline",
  "single": "one change of an architecture",
}
MAIN = ("identity", "random_nat", "random_nat++", "nat", "nat++", "blind", "climb")
ABLATED = ("nat++", "blind", "one_kind", "no_loops", "moving", "single")

Row = Mapping[str, Any]


def _landscape(row: Row) -> str:
  noise = float(row["noise"])
  return f"K = {row['neighbours']}" + (f", noise {noise:g}" if noise else "")


def _number(value: float, sign: str = "+") -> str:
  return f"{value:{sign}.3f}".replace("-", MINUS)


def _mean(rows: Sequence[Row], column: str) -> str:
  """Over seeds, with the lowest and the highest; of one seed, that is said."""
  values = [float(row[column]) for row in rows]
  if not values:
    return ""
  if len(values) == 1:
    return f"{_number(values[0])} (one seed)"
  ends = f"{_number(min(values))}, {_number(max(values))}"
  return f"{_number(float(np.mean(values)))} [{ends}]"


def _of(rows: Sequence[Row], name: str, landscape: str) -> list[Row]:
  return [r for r in rows if r["arm"] == name and _landscape(r) == landscape]


def gains(rows: Sequence[Row]) -> str:
  """By how much the best of ten is better than what was given."""
  landscapes = list(dict.fromkeys(map(_landscape, rows)))
  body = [
    [NAMES[name], *(_mean(_of(rows, name, own), "ten") for own in landscapes)]
    for name in MAIN
    if any(row["arm"] == name for row in rows)
  ]
  return pages.markdown(["", *landscapes], body)


def ablations(rows: Sequence[Row]) -> str:
  """What each part is worth, where all of them were measured."""
  own = _landscape(next((row for row in rows if row["arm"] == "blind"), rows[0]))
  body = [
    [
      NAMES[name],
      *(_mean(_of(rows, name, own), column) for column in ("one", "ten", "ahead")),
    ]
    for name in ABLATED
    if _of(rows, name, own)
  ]
  headers = ["", "a single change", "best of 10", "ahead of best of 10 random"]
  return pages.markdown(headers, body)


def prices(rows: Sequence[Row]) -> str:
  """What the changes cost, as shares of what was given: mean, and the worst of all."""
  body = []
  for name in MAIN:
    own = [row for row in rows if row["arm"] == name]
    if own:
      cells = [
        f"{np.mean([float(r[c]) for r in own]):.3f}" for c in ("parameters", "madds")
      ]
      worst = [
        f"{max(float(r[f'worst_{c}']) for r in own):.3f}"
        for c in ("parameters", "madds")
      ]
      body.append([NAMES[name], *cells, *worst])
  headers = ["", "parameters", "multiply-adds", "most parameters", "most multiply-adds"]
  return pages.markdown(headers, body)


def parts(rows: Sequence[Row]) -> dict[str, str]:
  """By the name of their markers, the page's tables."""
  return {
    "transform_gains": gains(rows),
    "transform_ablations": ablations(rows),
    "transform_prices": prices(rows),
  }


def write(rows: Sequence[Row]) -> None:
  """Writes the tables, and prints the page's path."""
  pages.write(PAGE, parts(rows))
