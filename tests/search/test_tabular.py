"""Every strategy runs on a table unchanged, and is judged by what the table knows."""

import dataclasses
import itertools
import json
from typing import ClassVar

import numpy as np
import pytest

from neural_epitome.errors import UserError
from neural_epitome.search import driver
from neural_epitome.search.tabular import Tabular
from neural_epitome.spaces.table import Table
from neural_epitome.spaces.table_space import TableSpace
from neural_epitome.strategies import (
  Amc,
  Esnac,
  Given,
  NatSearch,
  RandomSearch,
  Round,
  Strategy,
  SubsetEvolution,
)
from neural_epitome.strategies.ddpg import Ddpg
from tests.spaces.test_table_space import SPACE

JUDGE = Tabular(SPACE, told="top1", budget=50.0)


@dataclasses.dataclass(frozen=True)
class Listed(Strategy):
  """Asks for everything, one at a time; it trains if it is told to."""

  rounds: int = 0
  trains: ClassVar[bool] = True

  def search(self, problem):
    for _ in range(self.rounds):
      yield Round(problem.space)
    for arch in SPACE.table.choices:
      yield [arch]

  def expected(self, problem):
    return len(SPACE.table.choices)


@pytest.fixture(scope="module")
def strategies(tmp_path_factory):
  file = tmp_path_factory.mktemp("given") / "arch.json"
  file.write_text(json.dumps(SPACE.smallest.to_json()))
  few = {
    kind: dataclasses.replace(arm(), evaluations=16)
    for kind, arm in Strategy.arms().items()
    if "evaluations" in {field.name for field in dataclasses.fields(arm)}
  }
  others = {kind: arm() for kind, arm in Strategy.arms().items() if kind not in few}
  return (
    others
    | few
    | {
      "amc": Amc(evaluations=8, warmup=4, agent=Ddpg(hidden=8)),
      "esnac": Esnac(evaluations=10, first=4, kernels=2, steps=2, hidden=4, features=4),
      "given": Given(path=str(file)),
      "nat": NatSearch(given=str(file), steps=1),
    }
  )


# Those that learn compile for seconds.
LEARNING = ("amc", "esnac", "fp_nas", "mnasnet", "nat", "reinforce")


@pytest.mark.parametrize(
  "kind",
  [
    pytest.param(kind, marks=pytest.mark.slow if kind in LEARNING else ())
    for kind in sorted(Strategy.arms())
  ],
)
def test_any_registered_strategy_finds_a_choice_within_the_budget(strategies, kind):
  trace = JUDGE.ask(strategies[kind], seed=1)
  assert JUDGE.ask(strategies[kind], seed=1).asked == trace.asked
  regret = trace.regret("top1", 100)
  assert np.all(np.diff(regret) <= 0)
  assert regret[-1] >= 0
  told = {arch: JUDGE.of(arch)["top1"] for arch in trace.asked}
  best = driver.best(JUDGE.problem(1), told)
  top1 = SPACE.table.measured["top1"]
  expected = np.max(top1[JUDGE.fitting]) - JUDGE.of(best)["top1"]
  assert regret[-1] == pytest.approx(expected)


def test_who_asks_for_everything_ends_at_no_regret_and_not_before_the_best():
  trace = JUDGE.ask(Listed(), seed=0)
  regret = trace.regret("top1", len(trace.asked))
  fitting = [arch for arch in trace.asked if SPACE.price_of(arch) <= JUDGE.budget]
  best = max(fitting, key=lambda arch: JUDGE.of(arch)["top1"])
  first = trace.asked.index(best)
  assert np.all(regret[:first] > 0)
  assert np.all(regret[first:] == 0)


def test_before_a_choice_fits_it_is_the_smallest():
  tight = Tabular(SPACE, told="top1", budget=SPACE.price_of(SPACE.smallest))
  trace = dataclasses.replace(JUDGE.ask(Listed(), 0), judge=tight)
  assert np.all(trace.regret("top1", 20) == 0)
  with pytest.raises(UserError, match=r"budget of 1 is below the lowest madds.*, 9"):
    dataclasses.replace(JUDGE, budget=1.0).ask(RandomSearch(), 0)


def test_what_is_told_chooses_and_another_measurement_judges():
  table = dataclasses.replace(
    SPACE.table,
    measured=SPACE.table.measured | {"test": -SPACE.table.measured["top1"]},
  )
  judge = dataclasses.replace(JUDGE, space=TableSpace(table, "madds"))
  regret = judge.ask(Listed(), 0).regret("test", 12)
  # It takes the best by one measurement, which is the worst by the other.
  fitting = table.measured["top1"][judge.fitting]
  assert regret[-1] == pytest.approx(np.ptp(fitting))


def test_rounds_need_no_weights():
  assert JUDGE.ask(Listed(rounds=2), 0).asked == JUDGE.ask(Listed(), 0).asked


def test_what_the_table_does_not_say_is_told():
  with pytest.raises(UserError, match=r"told='top' is no .* Did you mean top1"):
    Tabular(SPACE, told="top", budget=50.0)
  trace = JUDGE.ask(RandomSearch(evaluations=2), 0)
  with pytest.raises(UserError, match="measurement='test' is no measurement"):
    trace.regret("test", 2)
  top1 = SPACE.table.measured["top1"].copy()
  top1[3] = np.nan
  measured = dict(SPACE.table.measured) | {"top1": top1}
  space = TableSpace(dataclasses.replace(SPACE.table, measured=measured), "madds")
  with pytest.raises(UserError, match="Row 3 of the table has top1=nan"):
    Tabular(space, told="top1", budget=50.0)


def test_subset_evolution_goes_on_where_another_encoding_stands_for_a_choice():
  """Both genes' order is of no consequence, and (0, 3) stands for (3, 0) as well."""
  encodings = np.array(list(itertools.product(range(4), repeat=2)))
  canonical = [4 * min(pair) + max(pair) for pair in encodings.tolist()]
  price = np.sum(encodings, axis=1) + 1.0
  top1 = -((encodings.max(axis=1) - 2.0) ** 2)
  names = tuple("abcd")
  table = Table(
    {"first": names, "second": names},
    encodings,
    {"top1": top1, "price": price},
    np.array(canonical),
  )
  judge = Tabular(TableSpace(table, "price"), told="top1", budget=6.0)
  for seed in range(5):
    trace = judge.ask(SubsetEvolution(rounds=3, options=2, samples=6), seed)
    assert all(judge.space.canonical(arch) == arch for arch in trace.asked)
    assert np.all(trace.regret("top1", 20) >= 0)
