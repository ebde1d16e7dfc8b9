"""REINFORCE as a strategy: what it asks, replayed from a log, and that it learns."""

import dataclasses
import json

import numpy as np
import pytest

from neural_epitome.search import driver
from neural_epitome.search.tabular import Tabular
from neural_epitome.spaces.table import Table
from neural_epitome.spaces.table_space import TableSpace
from neural_epitome.strategies import RandomSearch, Reinforce
from neural_epitome.strategies.policies.policy_gradient import PolicyGradient
from tests.strategies import made_up
from tests.strategies.made_up import GENES, JUDGE, SPACE

STRATEGY = Reinforce(evaluations=60, batch=8)


@pytest.mark.slow
def test_all_that_it_asks_is_new_and_within_the_budget():
  asked = JUDGE.ask(STRATEGY, 0).asked
  assert len(set(asked)) == len(asked)
  assert len(asked) == STRATEGY.evaluations
  assert all(SPACE.price_of(arch) <= JUDGE.budget for arch in asked)


@pytest.mark.slow
def test_a_budget_that_few_choices_meet_is_met_too():
  tight = dataclasses.replace(JUDGE, budget=1.0)
  asked = tight.ask(STRATEGY, 0).asked
  assert {SPACE.price_of(arch) for arch in asked} <= {0.0, 1.0}
  # The six choices that there are.
  assert len(asked) == 6


def test_a_killed_search_asks_the_log_first_and_ends_the_same(tmp_path):
  """The policy is no file: given the answers again, it is where it was."""
  problem, count = JUDGE.problem(3), 0

  def run(path, most):
    nonlocal count
    log = driver.Log(path, SPACE)

    def measure(arch):
      nonlocal count
      if count == most:
        raise KeyboardInterrupt
      count += 1
      return JUDGE.of(arch)

    return driver.ask_all(
      problem, STRATEGY, lambda arch: log.record(arch, measure)["top1"]
    )

  whole, total = run(tmp_path / "whole.jsonl", -1), count
  count = 0
  with pytest.raises(KeyboardInterrupt):
    run(tmp_path / "log.jsonl", 25)
  resumed = run(tmp_path / "log.jsonl", -1)
  assert [*resumed.items()] == [*whole.items()]
  assert count == total
  lines = (tmp_path / "log.jsonl").read_text().splitlines()
  assert [SPACE.from_json(json.loads(line)["arch"]) for line in lines] == [*whole]


@pytest.mark.slow
@pytest.mark.parametrize("gradient", ["plain", "natural"])
def test_it_ends_nearer_to_the_best_than_random_search(gradient):
  """Of as many questions as it asks by default, which are enough for 25 steps."""
  learning = PolicyGradient(learning_rate=0.2, gradient=gradient)
  strategy = Reinforce(batch=8, learning=learning)
  count, seeds = strategy.evaluations, range(10)
  ours, random = (
    np.mean([JUDGE.ask(one, seed).regret("top1", count)[-1] for seed in seeds])
    for one in (strategy, RandomSearch(evaluations=count))
  )
  assert ours < 0.5 * random


@pytest.mark.slow
def test_it_goes_on_where_nothing_drawn_fits_or_can_be_made_cheaper():
  """A table in which no single gene makes anything cheaper, but beside one choice."""
  rows = [row | {"price": 1.0 + any(row[g] for g in GENES)} for row in made_up.rows()]
  space = TableSpace(Table.of_rows(rows, GENES, ("top1", "price")), "price")
  judge = Tabular(space, told="top1", budget=1.0)
  asked = judge.ask(Reinforce(evaluations=5, batch=1), 0).asked
  assert asked == (space.smallest,)
