"""Figure and tables of docs/results/strategies.md, from results/strategies.csv."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks import pages
from benchmarks.search import tables_figure
from neural_epitome.report.comparison import MINUS

PAGE = pages.DOCS / "strategies.md"
CONTROL = tables_figure.CONTROL
# By the name of a strategy's rows, as people call it.
NAMES = {
  "random": "random search",
  "amc": "AMC, 64 units a layer",
  "bayesian": "Bayesian optimisation",
  "ddpnas": "DDPNAS",
  "esnac": "ESNAC",
  "evolution": "evolution",
  "flash": "FLASH",
  "flash_costs": "FLASH, capacities as costs are",
  "fp_nas": "FP-NAS",
  "genetic": "genetic algorithm on bits",
  "hurricane": "HURRICANE",
  "mnasnet": "MnasNet",
  "netadapt": "descent over several genes",
  "netadapt_single": "descent over single genes",
  "nse": "NSE's rounds",
  "nse_unretained": "NSE's rounds, nothing retained",
  "progressive": "PNAS",
  "random_window": "random search in NSE's window",
  "reinforce": "REINFORCE",
  "reinforce_natural": "REINFORCE, natural gradient",
  "subset_evolution": "subset evolution",
}
Row = Mapping[str, Any]


def parts(rows: Sequence[Row]) -> dict[str, str]:
  """By the name of their markers, the page's tables."""
  names = ranked(rows)
  as_many = [row for row in rows if _is_asked(row, rows)]
  return {
    "regret": _table(rows, "regret", names),
    "tested_regret": _table(rows, "tested_regret", names),
    "ahead": _table(rows, "ahead", names),
    "as_many": _table(as_many, "ahead", names),
  }


def _is_asked(row: Row, rows: Sequence[Row]) -> bool:
  """Whether a row is of no more questions than show what a strategy ended with."""
  counts = sorted({int(other["questions"]) for other in rows})
  enough = [count for count in counts if count >= float(row["asked"])]
  return int(row["questions"]) <= (enough or counts[-1:])[0]


def _table(rows: Sequence[Row], column: str, ranked: Sequence[str]) -> str:
  """After the last question: a line a strategy, a column a table, in percent."""
  tables = list(dict.fromkeys(row["table"] for row in rows))
  ordered = sorted(rows, key=lambda row: int(row["questions"]))
  at_end = {(row["strategy"], row["table"]): row for row in ordered}
  names = [name for name in ranked if column != "ahead" or name != CONTROL]
  body = [
    [
      NAMES.get(name, name),
      *(_cell(at_end.get((name, table)), column) for table in tables),
    ]
    for name in names
  ]
  return pages.markdown(["", *(f"`{table}`" for table in tables)], body)


def _cell(row: Row | None, column: str) -> str:
  if row is None:
    return ""
  sign = "+" if column == "ahead" else ""
  mean, low, high = (
    f"{100 * float(row[column + suffix]):{sign}.2f}".replace("-", MINUS)
    for suffix in ("", "_low", "_high")
  )
  return f"{mean} [{low}, {high}]"


def ranked(rows: Sequence[Row]) -> list[str]:
  """The strategies, those first that rank first in the mean over tables at the end."""
  last = max(int(row["questions"]) for row in rows)
  ends = [row for row in rows if int(row["questions"]) == last]
  ranks: dict[str, list[float]] = {}
  for table in dict.fromkeys(row["table"] for row in ends):
    here = [row for row in ends if row["table"] == table]
    behind = [float(row["regret"]) for row in here]
    for row, own in zip(here, behind, strict=True):
      rank = sum(other < own for other in behind)
      ranks.setdefault(row["strategy"], []).append(rank)
  return sorted(ranks, key=lambda name: float(np.mean(ranks[name])))


def write(rows: Sequence[Row]) -> None:
  """Writes tables and figure; prints their paths."""
  print(tables_figure.draw(rows, ranked(rows), NAMES))
  pages.write(PAGE, parts(rows))
