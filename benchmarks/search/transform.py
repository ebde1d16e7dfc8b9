"""NAT where the truth is known: changes of cells that it never saw, against controls.

  python -m benchmarks.search.transform
  python -m benchmarks.search.transform --seeds=1 --steps=50 --output=FILE.csv

The truth is a landscape over the edges of cells (`truth.cells`). A policy learns on
random cells, and is then given others. Rows of results/transform.csv, an arm and a seed
each, are written when they are done, and never again. Arms: `identity`; `random_*`, the
best of 10 allowed changes drawn evenly, of the rule of NAT and of that of NAT++; `nat`
and `nat++`, the best of 10 of the learned policy; `blind`, a NAT++ that sees no graph
and so learns only which operations are good; `one_kind`, which is not told normal cells
from reduction cells, as in the paper; `no_loops`, over A in place of A + I; `moving`,
with the moving mean as baseline; `single`, with one change of an architecture as in the
paper, and as many architectures as make as many questions; `climb`, the ascent over
single changes that asks about each cell until nothing is better.
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.controls.rows import append, commit, read
from benchmarks.search import transform_page
from benchmarks.search.truth.cells import CellLandscape
from neural_epitome.errors import UserError
from neural_epitome.models.cell_operations import NULL, OPERATIONS, Rule
from neural_epitome.models.cells import Cells
from neural_epitome.spaces.cell_prices import CellFrame, CellPrices
from neural_epitome.spaces.cell_states import CellSpace, CellStates
from neural_epitome.spaces.graph_state import Editor, GraphState
from neural_epitome.strategies import nat
from neural_epitome.strategies.nat import Nat
from neural_epitome.strategies.policies.graph_policy import GraphPolicy

Row = dict[str, Any]

FRAME = CellFrame()
# The landscapes: neighbours, and noise of what is told.
LANDSCAPES = ((1, 0.0), (3, 0.0), (0, 0.0))
ALL = ("identity", "random_nat", "random_nat++", "nat++", "nat")
# On one landscape alone.
ABLATIONS = ("blind", "one_kind", "no_loops", "moving", "single")
ABLATED = (1, 0.0)
DRAWN, HELD_OUT, STEPS = 10, 50, 100
COLUMNS = (
  *("neighbours", "noise", "arm", "seed", "steps", "given", "questions"),
  *("one", "ten", "ahead", "ahead_low", "ahead_high", "parameters", "madds"),
  *("worst_parameters", "worst_madds", "seconds", "commit"),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Blind:
  """An editor whose states show nothing of the graph; masks and prices stay."""

  editor: CellStates

  def __getattr__(self, name: str) -> Any:
    return getattr(self.editor, name)

  def state(self, given: Cells) -> GraphState:
    """The state with equal tokens and no edge."""
    state = self.editor.state(given)
    return dataclasses.replace(
      state,
      tokens=np.zeros_like(state.tokens),
      adjacency=np.zeros_like(state.adjacency),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class OneKind:
  """An editor whose states do not tell a normal cell from a reduction cell."""

  editor: CellStates

  def __getattr__(self, name: str) -> Any:
    return getattr(self.editor, name)

  def state(self, given: Cells) -> GraphState:
    """The state with the tokens of a normal cell."""
    state = self.editor.state(given)
    tokens = state.tokens % (self.editor.tokens // 2)
    return dataclasses.replace(state, tokens=tokens)


def editor(rule: Rule) -> CellStates:
  """Of the space that all arms change cells of."""
  return CellStates(CellSpace(frame=FRAME), CellPrices(FRAME), rule)


def arm(name: str) -> tuple[Nat, Editor]:
  """How an arm learns, and what it reads."""
  rule: Rule = (
    "same_skip_null" if name.removeprefix("random_") == "nat" else "two_levels"
  )
  usual, own = Nat(), editor(rule)
  if name == "blind":
    return usual, Blind(own)
  if name == "one_kind":
    return usual, OneKind(own)
  if name == "no_loops":
    return dataclasses.replace(usual, policy=GraphPolicy(loops=False)), own
  if name == "moving":
    return dataclasses.replace(usual, baseline="moving"), own
  if name == "single":
    questions = usual.given * (1 + usual.drawn)
    return dataclasses.replace(usual, given=questions // 2, drawn=1), own
  return usual, own


def held_out(seed: int, count: int) -> list[Cells]:
  """Random cells that no policy learns on."""
  random = np.random.default_rng((seed, 10**9))
  return [editor("two_levels").draw(random) for _ in range(count)]


Changes = Iterator[tuple[Cells, Sequence[Cells]]]


def changes(name: str, truth: CellLandscape, given: list[Cells], steps: int) -> Changes:
  """Of every given architecture, what an arm offers, the best by what it is told."""
  if name == "identity":
    yield from ((cells, [cells]) for cells in given)
    return
  if name == "climb":
    yield from ((cells, [climbed(cells, truth.truth)]) for cells in given)
    return
  options, own = arm(name)
  state = nat.start(options, own, truth.seed)
  if not name.startswith("random"):
    state = nat.learn(options, own, truth.told, steps, truth.seed)
  for number, cells in enumerate(given):
    found = nat.transform(options, state, own, cells, truth.told, DRAWN, number)
    best = int(np.argmax(found.values))
    yield cells, [found.changes[best], *found.changes]


def climbed(cells: Cells, truth: Callable[[Sequence[Cells]], list[float]]) -> Cells:
  """The ascent over changes of one edge, best first, that cost no more altogether."""
  own = editor("two_levels")
  state = own.state(cells)
  slots = np.arange(state.order.shape[-1])
  tokens = state.tokens.reshape(2, -1) % (own.tokens // 2)
  current = np.where(tokens < len(OPERATIONS), tokens, NULL)
  best = truth([own.changed(cells, current)])[0]
  while True:
    tried = []
    for kind in range(2):
      for slot in slots:
        for option in np.flatnonzero(state.allowed[kind, slot]):
          other = current.copy()
          other[kind, slot] = option
          spent = state.increments[kind, slots, other[kind]].sum(axis=0)
          if option != current[kind, slot] and np.all(spent <= 0):
            tried.append(other)
    values = truth([own.changed(cells, other) for other in tried]) if tried else []
    if not values or max(values) <= best + 1e-12:
      return own.changed(cells, current)
    best, current = max(values), tried[int(np.argmax(values))]


def row(name: str, truth: CellLandscape, steps: int, count: int) -> Row:
  """One arm with one seed."""
  begin, given = time.monotonic(), held_out(truth.seed, count)
  before = np.array(truth.truth(given))
  prices = editor("two_levels").prices
  options = arm(name)[0]
  control = [
    truth.truth([one[1][0]])[0] for one in changes("random_nat++", truth, given, steps)
  ]
  one, ten, ratios = [], [], []
  for cells, offered in changes(name, truth, given, steps):
    values = truth.truth(offered)
    ten.append(values[0])
    one.append(np.mean(values[1:] or values))
    price = prices.of(cells)
    for change in offered:
      after = prices.of(change)
      ratios.append([after[m] / max(price[m], 1.0) for m in ("parameters", "madds")])
  ahead = np.array(ten) - np.array(control)
  error = 1.96 * ahead.std(ddof=1) / np.sqrt(count)
  learns = name not in ("identity", "climb") and not name.startswith("random")
  asked = options.given * (1 + options.drawn) * steps if learns else 0
  mean, worst = np.mean(ratios, axis=0), np.max(ratios, axis=0)
  numbers = {
    "one": np.mean(one) - before.mean(),
    "ten": np.mean(ten) - before.mean(),
    "ahead": ahead.mean(),
    "ahead_low": ahead.mean() - error,
    "ahead_high": ahead.mean() + error,
    "parameters": mean[0],
    "madds": mean[1],
    "worst_parameters": worst[0],
    "worst_madds": worst[1],
  }
  return {
    "neighbours": truth.neighbours,
    "noise": truth.noise,
    "arm": name,
    "seed": truth.seed,
    "steps": steps,
    "given": count,
    "questions": asked,
    **{key: f"{value:.5f}" for key, value in numbers.items()},
    "seconds": round(time.monotonic() - begin, 1),
    "commit": commit(),
  }


def owed(seeds: int) -> Iterator[tuple[CellLandscape, str]]:
  """All rows, landscape by landscape."""
  for neighbours, noise in LANDSCAPES:
    ablated = ABLATIONS if (neighbours, noise) == ABLATED else ()
    for name in (*ALL, *ablated):
      for seed in range(seeds):
        yield CellLandscape(neighbours, seed, noise), name
  # It asks as much about a few cells as a policy does while it learns.
  for neighbours, noise in LANDSCAPES:
    for seed in range(seeds):
      yield CellLandscape(neighbours, seed, noise), "climb"


def main() -> None:
  """The command line."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--steps", type=int, default=STEPS, help="of learning")
  parser.add_argument("--given", type=int, default=HELD_OUT, help="cells to change")
  parser.add_argument(
    "--output", type=Path, default=common.RESULTS / "transform.csv", help="the CSV"
  )
  options = parser.parse_args()
  done = {
    (int(r["neighbours"]), float(r["noise"]), int(r["seed"]), r["arm"])
    for r in read(options.output)
  }
  for truth, name in owed(options.seeds):
    if (truth.neighbours, truth.noise, truth.seed, name) not in done:
      made = row(name, truth, options.steps, options.given)
      append(options.output, made, COLUMNS)
      print(made, flush=True)
  if options.output == common.RESULTS / "transform.csv":
    transform_page.write(common.read("transform"))


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    sys.exit(f"error: {error}")
