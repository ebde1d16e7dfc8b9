"""Every search strategy where the right answer is known: regret by questions.

  python -m benchmarks.search.tables
  python -m benchmarks.search.tables --tables=nk_1,cora --seeds=20
  python -m benchmarks.search.tables --arms=evolution,bayesian
  python -m benchmarks.search.tables --strategy='{"kind": "evolution", "parents": 4}'

Writes results/strategies.csv, a row for each table, strategy and number of questions,
and from it figure and tables of docs/results/strategies.md. Every registered strategy
takes part, with its default options where `OPTIONS` has no other; random search is the
control, of the same seeds. With --arms only those are measured anew. A strategy that is
named by --strategy is compared with random search, printed, and nothing is written.
NAS-Bench-Graph needs the extra `tables`.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks import common
from benchmarks.search import regret, tables_page
from benchmarks.search.regret import Curves
from benchmarks.search.truth import TRUTHS, Truth
from neural_epitome import codec
from neural_epitome.errors import UserError
from neural_epitome.strategies import Strategy

CONTROL = "random"
QUESTIONS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200)
# NSE on few options a gene, in rounds that take 200 questions together: those of a
# table have four to nine of them. Its window is as wide as its control's.
WINDOW = 0.1
NSE: Mapping[str, Any] = {
  "kind": "nse",
  "capacity": 3,
  "rounds": 4,
  "samples": 50,
  "extra": 0,
  "drift": WINDOW / (2.0 - WINDOW),
  "least": 1,
}
# By the name of a row: options that are not the defaults.
OPTIONS: Mapping[str, Mapping[str, Any]] = {
  CONTROL: {"kind": "random", "evaluations": QUESTIONS[-1]},
  # Layers of 300 units, as in the paper, take minutes of a seed.
  "amc": {"kind": "amc", "agent": {"hidden": 64}},
  # Its control: the law of what options cost, of which nothing is learned.
  "flash_costs": {"kind": "flash", "held": 1e6},
  "nse": NSE,
  # Its controls: what is retained, and the window alone.
  "nse_unretained": NSE | {"retains": False},
  "random_window": {"kind": "random", "evaluations": QUESTIONS[-1], "window": WINDOW},
  "netadapt_single": {"kind": "netadapt", "layers": 1},
  "reinforce_natural": {
    "kind": "reinforce",
    "learning": {"gradient": "natural", "learning_rate": 0.3},
  },
}
# Those that begin at a choice that somebody gives.
_NO_SEARCH = ("given", "nat")

Row = dict[str, Any]


def strategies() -> dict[str, Strategy]:
  """All that take part, by the name of their rows; the control is the first."""
  arms = {kind: {"kind": kind} for kind in Strategy.arms() if kind not in _NO_SEARCH}
  chosen = {CONTROL: {}} | arms | dict(OPTIONS)
  return {name: codec.decode(Strategy, data) for name, data in chosen.items()}


def rows(
  truth: Truth, chosen: Mapping[str, Strategy], seeds: int
) -> Iterator[list[Row]]:
  """The rows of each strategy on a table; the first strategy is the control."""
  control = None
  for name, strategy in chosen.items():
    curves = regret.curves(truth, strategy, seeds, QUESTIONS[-1])
    control = control or curves
    yield _rows(truth.name, name, strategy, curves, control)


def _rows(
  table: str, name: str, strategy: Strategy, curves: Curves, control: Curves
) -> list[Row]:
  points = [number - 1 for number in QUESTIONS]
  columns = {
    "regret": curves.told[:, points],
    "tested_regret": curves.tested[:, points],
    "ahead": (control.told - curves.told)[:, points],
  }
  made = [
    {
      "table": table,
      "strategy": name,
      "options": json.dumps(codec.encode(strategy)),
      "seeds": len(curves.asked),
      "asked": round(float(curves.asked.mean()), 1),
      "seconds": round(curves.seconds, 2),
      "questions": number,
    }
    for number in QUESTIONS
  ]
  for column, values in columns.items():
    parts = zip(("", "_low", "_high"), regret.interval(values), strict=True)
    for suffix, numbers in parts:
      for row, number in zip(made, numbers, strict=True):
        row[f"{column}{suffix}"] = f"{number:.5g}"
  return made


def measure(tables: list[str], chosen: Mapping[str, Strategy], seeds: int) -> list[Row]:
  """The rows of all strategies on all tables; says what each took."""
  measured: list[Row] = []
  for name in tables:
    if name not in TRUTHS:
      raise UserError(f"--tables={name} is no table.{codec.nearest(name, TRUTHS)}")
    for of_strategy in rows(TRUTHS[name](), chosen, seeds):
      last = of_strategy[-1]
      print(
        f"{name}, {last['strategy']}: behind by {last['regret']} [{last['regret_low']}"
        f", {last['regret_high']}] after {last['questions']} questions, ahead of "
        f"{CONTROL} by {last['ahead']} [{last['ahead_low']}, {last['ahead_high']}], "
        f"{last['seconds']} s",
        flush=True,
      )
      measured += of_strategy
  return measured


def main() -> None:
  """The command line."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--tables", default=",".join(TRUTHS), help="commas between")
  parser.add_argument("--arms", default="", help="commas between; all if not given")
  parser.add_argument("--seeds", type=int, default=100)
  parser.add_argument("--strategy", help="its JSON: judged alone, nothing is written")
  options = parser.parse_args()
  tables, chosen = options.tables.split(","), strategies()
  if options.strategy:
    try:
      data = json.loads(options.strategy)
    except json.JSONDecodeError as error:
      raise UserError(f"--strategy={options.strategy} is no JSON: {error}.") from None
    named = codec.decode(Strategy, data, "--strategy")
    measure(
      tables, {CONTROL: chosen[CONTROL], f"named {named.kind}": named}, options.seeds
    )
    return
  arms = options.arms.split(",") if options.arms else list(chosen)
  if unknown := set(arms) - chosen.keys():
    name = min(unknown)
    raise UserError(f"--arms={name} is no strategy.{codec.nearest(name, chosen)}")
  named = {name: chosen[name] for name in dict.fromkeys([CONTROL, *arms])}
  measured = measure(tables, named, options.seeds)
  before = common.read("strategies")
  controlled = {row["table"] for row in before if row["strategy"] == CONTROL}
  # A control that was run beside others, of fewer seeds maybe, leaves its rows alone.
  measured = [
    row for row in measured if row["strategy"] in arms or row["table"] not in controlled
  ]
  written = {(row["table"], row["strategy"]) for row in measured}
  kept = [row for row in before if (row["table"], row["strategy"]) not in written]
  common.write("strategies", measured, ("jax", "numpy", "nas-bench-graph"), kept)
  tables_page.write(common.read("strategies"))


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    sys.exit(f"error: {error}")
