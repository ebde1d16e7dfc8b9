"""The search in docs/results/search.md: python -m benchmarks.search.report.

Writes the tables of results/search.csv between the markers of the page: a number for
each seed that is there, mean ± standard deviation, and how many there are.
"""

import argparse
import csv
import re
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks import common, pages
from benchmarks.search.apart import TIMES
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
# Trains supernets of its own, in the time of the one that the others search.
ROUNDS = {"subset_evolution": "subset evolution in three rounds, training included"}
# Of each comparison, the control that differences are taken to, and its rivals.
COMPARISONS = {
  "madds": {
    "width": "narrower, all channels alike",
    "width_longer": "narrower, trained as long as all stages took",
    "netadaptv2_from_scratch": "found, from random weights",
    **{
      f"{name}_from_supernet": f"{title}, from the supernet's weights"
      for name, title in SEARCHES.items()
    },
    "subset_evolution_from_own": "subset evolution, from its last round's weights",
    "apart_from_scratch": f"{TIMES} times as long, each choice trained: from random",
    "apart_from_own": "the same, from its own weights",
  },
  "bytes": {
    "bytes_width": "narrower, all channels alike",
    "bytes_width_longer": "narrower, trained as long as all stages took",
    "bytes_uneven": "the largest, tile epitomes (`--allocation=uneven`)",
    "bytes_uneven_longer": "the same, trained as long as all stages took",
    "bytes_from_scratch": "found, from random weights",
    "bytes_from_supernet": "found, from the supernet's weights",
  },
}
# The same of each share of the latency.
AT_LATENCY = {
  "width": "narrower, all channels alike",
  "width_longer": "narrower, trained as long as all stages took",
  "from_scratch": "found, from random weights",
  "from_supernet": "found, from the supernet's weights",
}
NOT_RUN = "Not run."
HARDER = "cluttered_fashion_mnist"


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

  @property
  def latencies(self) -> list[str]:
    """`latency_SHARE` of each share of the latency that was searched to, most first."""
    named = {row["strategy"] for row in self._rows}
    latencies = [name for name in named if re.fullmatch(r"latency_[\d.]+", name)]
    return sorted(latencies, key=_share, reverse=True)

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
    for name, title in (SEARCHES | ROUNDS).items()
    if name in SEARCHES or rows.of(name, "top1")
  ]
  return pages.markdown(["strategy", "questions", "seconds", "held-out top-1"], body)


def bypass(rows: Rows) -> str:
  """Descents to the same latency, with blocks that may be left out and without."""
  body = []
  for latency in rows.latencies:
    for name, title in (("", "any block"), ("_without_bypass", "none")):
      row = f"{latency}{name}"
      if not rows.of(row, "top1"):
        continue
      columns = [("evaluations", 0), ("latency_ms", 3), ("top1", 2)]
      cells = [rows.text(row, column, digits) for column, digits in columns]
      title = f"{_share(latency):g} of the latency, {title} may be left out"
      body.append([title, *cells])
  if not body:
    return NOT_RUN
  headers = ["descent", "questions", "ms by the table", "held-out top-1"]
  return pages.markdown(headers, body)


def harder(rows: Rows) -> str:
  """All comparisons that were made on the harder set."""
  titles = {
    "madds": "Half of the multiply-adds",
    "bytes": "A quarter of the bytes, rates in the space",
  }
  tables = {title: compare(rows, name) for name, title in titles.items()}
  parts = [
    f"{title}:\n\n{table}" for title, table in tables.items() if table != NOT_RUN
  ]
  parts += [part for part in (at_latency(rows), bypass(rows)) if part != NOT_RUN]
  return "\n\n".join(parts) or NOT_RUN


def at_latency(rows: Rows) -> str:
  """What was found at each share of the latency, against its controls."""
  tables = {latency: compare(rows, latency) for latency in rows.latencies}
  parts = [
    f"{_share(latency):g} of the latency:\n\n{table}"
    for latency, table in tables.items()
    if table != NOT_RUN
  ]
  return "\n\n".join(parts) or NOT_RUN


def compare(rows: Rows, comparison: str) -> str:
  """What was found, against its controls.

  Args:
    rows: of one data set.
    comparison: of `COMPARISONS`, or one of the rows' `latencies`.
  """
  is_timed = comparison not in COMPARISONS
  if is_timed:
    named = {f"{comparison}_{name}": title for name, title in AT_LATENCY.items()}
  else:
    named = COMPARISONS[comparison]
  control = next(iter(named))
  columns = ["madds", "stored_bytes"]
  headers = ["network", "top-1", "ahead", "multiply-adds", "bytes"]
  if is_timed:
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
    return NOT_RUN
  return pages.markdown(headers, body)


def _share(latency: str) -> float:
  return float(latency.removeprefix("latency_"))


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
  seconds = [rows.of(*names, "seconds") for names in stages.values()]
  seeds = sorted(set.intersection(*map(set, seconds)))
  totals = [sum(of_stage[seed] for of_stage in seconds) for seed in seeds]
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
  parser.add_argument("--csv", type=Path, default=common.RESULTS / "search.csv")
  parser.add_argument("--page", type=Path, default=pages.DOCS / "search.md")
  options = parser.parse_args(arguments)
  try:
    everything = read(options.csv)
    rows = Rows(everything, "embedded")
    parts = {"supernets": supernets(rows), "searches": searches(rows)}
    parts |= {"bypass": bypass(rows), "harder": harder(Rows(everything, HARDER))}
    parts |= {"costs": costs(rows), "latency": at_latency(rows)}
    parts |= {name: compare(rows, name) for name in COMPARISONS}
    options.page.write_text(pages.edit(options.page, parts), encoding="utf-8")
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  print(options.page)
  return 0


if __name__ == "__main__":
  sys.exit(main())
