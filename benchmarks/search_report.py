"""The search in docs/search.md: python -m benchmarks.search_report.

Writes the tables of results/search.csv between the markers of the page: a number for
each seed that is there, mean ± standard deviation, and how many there are.
"""

import argparse
import csv
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks import common, pages
from benchmarks.search_apart import TIMES
from neural_epitome.errors import UserError
from neural_epitome.report.comparison import MINUS

Row = Mapping[str, str]
# Rows of the tables, by the name of the strategy, as people call them.
SUPERNETS = {
  "ordered_dropout": "ordered dropout",
  "single_path": "single path",
  "sandwich": "sandwich of 4",
}
SEARCHES = {
  "netadaptv2": "descent over two blocks",
  "netadapt_single": "descent over single blocks",
  "netadaptv2_without_bypass": "over two blocks, none left out",
  "evolution": "evolution",
  "random": "random search",
}
# Of each comparison, the control that differences are taken to, and its rivals.
FOUND = {
  "madds": {
    "width": "narrower, all channels alike",
    "netadaptv2_from_supernet": "found, from the supernet's weights",
    "random_from_supernet": "found by random search, from the supernet's",
    "netadaptv2_from_scratch": "found, from random weights",
    "apart_from_scratch": f"found in {TIMES} times as long, each choice trained",
    "width_longer": "narrower, trained as long as all stages took",
  },
  "latency_0.5": {
    "latency_0.5_width": "narrower, all channels alike",
    "latency_0.5_from_supernet": "found, from the supernet's weights",
    "latency_0.5_from_scratch": "found, from random weights",
  },
  "latency_0.25": {
    "latency_0.25_width": "narrower, all channels alike",
    "latency_0.25_from_supernet": "found, from the supernet's weights",
    "latency_0.25_from_scratch": "found, from random weights",
  },
  "bytes": {
    "bytes_width": "narrower, all channels alike",
    "bytes_uneven": "the largest, tile epitomes (`--allocation=uneven`)",
    "bytes_from_supernet": "found, from the supernet's weights",
    "bytes_from_scratch": "found, from random weights",
  },
}


def read(path: Path) -> list[Row]:
  """The rows of the CSV; raises UserError if there is no such file."""
  if not path.is_file():
    raise UserError(f"{path} does not exist; python -m benchmarks.search makes it.")
  with path.open(newline="") as file:
    return list(csv.DictReader(file))


class Rows:
  """The rows of one data set, by strategy and seed."""

  def __init__(self, rows: Iterable[Row], dataset: str):
    """Keeps those of the data set."""
    self._rows = [row for row in rows if row["dataset"] == dataset]

  def of(self, strategy: str, column: str) -> dict[int, float]:
    """A column's values by seed, where there are any."""
    return {
      int(row["seed"]): float(row[column])
      for row in self._rows
      if row["strategy"] == strategy and row[column] != ""
    }

  def text(self, strategy: str, column: str, digits: int = 2) -> str:
    """Mean ± standard deviation (seeds), or a hyphen."""
    return spread(list(self.of(strategy, column).values()), digits)

  def ahead(self, strategy: str, control: str) -> str:
    """Top-1 less the control's of the same seed, likewise."""
    mine, theirs = self.of(strategy, "top1"), self.of(control, "top1")
    common_seeds = sorted(mine.keys() & theirs.keys())
    if strategy == control or not common_seeds:
      return ""
    return spread([mine[s] - theirs[s] for s in common_seeds], 2, signed=True)


def spread(values: Sequence[float], digits: int, *, signed: bool = False) -> str:
  """Mean ± standard deviation (how many); a hyphen where there are none."""
  if not values:
    return "-"
  mean = statistics.mean(values)
  text = f"{mean:{'+' if signed else ''},.{digits}f}".replace("-", MINUS)
  if len(values) > 1:
    text += f" ± {statistics.stdev(values):,.{digits}f}"
  return f"{text} ({len(values)})"


def supernets(rows: Rows) -> str:
  """Supernets of the same wall clock."""
  body = [
    [
      title,
      rows.text(name, "seconds", 0),
      rows.text(name, "top1"),
      rows.text(name, "worst_top1"),
      rows.text(f"{name}_ranked", "kendall_tau"),
    ]
    for name, title in SUPERNETS.items()
  ]
  headers = ["supernet", "seconds", "mean of 30 networks", "worst", "Kendall's tau"]
  return pages.markdown(headers, body)


def searches(rows: Rows) -> str:
  """Strategies on one supernet."""
  body = [
    [
      title,
      rows.text(name, "evaluations", 0),
      rows.text(name, "seconds", 0),
      rows.text(name, "top1"),
    ]
    for name, title in SEARCHES.items()
  ]
  return pages.markdown(["strategy", "questions", "seconds", "held-out top-1"], body)


def found(rows: Rows, comparison: str) -> str:
  """What was found, against its controls."""
  control, *_ = named = FOUND[comparison]
  columns = ["madds", "stored_bytes"]
  headers = ["network", "top-1", "ahead", "multiply-adds", "bytes"]
  if comparison.startswith("latency"):
    columns, headers = [*columns, "latency_ms"], [*headers, "measured ms"]
  body = [
    [
      title,
      rows.text(name, "top1"),
      rows.ahead(name, control),
      *(_mean(rows.of(name, column)) for column in columns),
    ]
    for name, title in named.items()
    if rows.of(name, "top1")
  ]
  if not body:
    return "Not run."
  return pages.markdown(headers, body)


def _mean(values: Mapping[int, float]) -> str:
  if not values:
    return ""
  mean = statistics.mean(values.values())
  return f"{mean:.2f}" if mean < 1000 else f"{mean:,.0f}"


def costs(rows: Rows) -> str:
  """Seconds of every stage, and of a search that trains each choice by itself."""
  alone = [name for name in (f"alone_{n}" for n in range(10)) if rows.of(name, "top1")]
  stages = {
    "supernet": ("ordered_dropout",),
    "search, all samples": ("netadaptv2",),
    "final training": ("netadaptv2_from_supernet",),
  }
  body = [[title, rows.text(*names, "seconds", 0)] for title, names in stages.items()]
  totals = [
    sum(of_stage)
    for of_stage in zip(
      *(rows.of(name, "seconds").values() for (name,) in stages.values()), strict=False
    )
  ]
  body.append(["together", spread(totals, 0)])
  each = [seconds for name in alone for seconds in rows.of(name, "seconds").values()]
  body.append(["one network trained by itself", spread(each, 0)])
  questions = rows.of("netadaptv2", "evaluations")
  if each and questions and totals:
    samples = statistics.mean(questions.values())
    estimate = samples * statistics.mean(each)
    ratio = estimate / statistics.mean(totals)
    body.append([f"all {samples:.0f} samples so (estimate)", f"{estimate:,.0f}"])
    body.append(["the same, times ours", f"{ratio:.1f}"])
  body.append(["search of trained choices, measured", rows.text("apart", "seconds", 0)])
  body.append(["its choices", rows.text("apart", "evaluations", 0)])
  return pages.markdown(["", "seconds"], body)


def main(arguments: Sequence[str] | None = None) -> int:
  """Reads the CSV, writes the page; returns the exit code."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  root = Path(__file__).resolve().parent.parent
  parser.add_argument("--csv", type=Path, default=common.RESULTS / "search.csv")
  parser.add_argument("--page", type=Path, default=root / "docs" / "search.md")
  told = parser.parse_args(arguments)
  try:
    rows = Rows(read(told.csv), "embedded")
    parts = {"supernets": supernets(rows), "searches": searches(rows)}
    parts |= {"costs": costs(rows)} | {name: found(rows, name) for name in FOUND}
    told.page.write_text(pages.edit(told.page, parts), encoding="utf-8")
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  print(told.page)
  return 0


if __name__ == "__main__":
  sys.exit(main())
