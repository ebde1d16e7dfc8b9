"""Strategies judged where the right answer is known: their questions and a table.

    judge = Tabular(TableSpace(table, price="madds"), told="top1", budget=3e6)
    trace = judge.ask(Evolution(), seed=0)
    trace.regret("top1", 200)        # after 1, 2, ... 200 questions

A strategy is run by the driver that every search runs by, and does not know the table.
"""

import dataclasses
import functools
from typing import Any

import numpy as np

from neural_epitome.errors import UserError
from neural_epitome.search import driver
from neural_epitome.spaces.table import Choice
from neural_epitome.spaces.table_space import TableSpace
from neural_epitome.strategies import Problem, Strategy


@dataclasses.dataclass(frozen=True, eq=False)
class Tabular:
  """Answers the questions of strategies from a table.

  Attributes:
    space: of the table.
    told: the measurement that strategies are told, of which more is better.
    budget: the most that a choice may cost, in the unit of `space.price`.
  """

  space: TableSpace
  told: str
  budget: float

  def __post_init__(self):
    """Raises UserError if the table has no such measurement of every choice."""
    self.space.table.column(self.told, "told")

  def of(self, arch: Choice) -> dict[str, float]:
    """All measurements of a choice, by name."""
    return self.space.measured(arch)

  def problem(self, seed: int) -> Problem:
    """What a strategy is asked to solve."""
    return Problem(self.space, self.space.price_of, self.budget, seed)

  def ask(self, strategy: Strategy, seed: int) -> "Trace":
    """Runs a strategy to its end.

    What it asks for again in one round is no further question. A strategy that trains
    weights of its own is given none: the table's answers are the same in all rounds.

    Args:
      strategy: any.
      seed: of what it draws.

    Raises:
      UserError: if the budget is below every price, or the strategy's own.
    """
    problem = self.problem(seed)
    if not problem.fits(self.space.smallest):
      price = problem.price(self.space.smallest)
      raise UserError(
        f"The budget of {self.budget:,.6g} is below the lowest {self.space.price} of "
        f"the table, {price:,.6g}."
      )
    strategy.check()
    asked: list[Choice] = []

    def answer(arch: Choice) -> float:
      asked.append(arch)
      return self.of(arch)[self.told]

    driver.ask_all(problem, strategy, answer, lambda round_: None)
    return Trace(self, tuple(asked))

  @functools.cached_property
  def fitting(self) -> np.ndarray:
    """Indices of the rows within the budget."""
    return np.flatnonzero(self.space.table.measured[self.space.price] <= self.budget)


@dataclasses.dataclass(frozen=True, eq=False)
class Trace:
  """What a strategy asked.

  Attributes:
    judge: that answered.
    asked: the choices in the order of the questions.
  """

  judge: Tabular
  asked: tuple[Choice, ...]

  def regret(self, measurement: str, questions: int) -> np.ndarray:
    """How far the best choice so far is behind the best of the table.

    The best so far is, of the choices within the budget, the one of which the best was
    told, and of equals the cheapest. Before there is one it is `space.smallest`, which
    needs no question.

    Args:
      measurement: by which both are compared, of which more is better. By another one
        than the strategy is told, as by the test split, nobody can be sure of 0.
      questions: how many; after its last one, what a strategy found stays.

    Returns:
      float64 (questions,), after each question.

    Raises:
      UserError: if the table has no such measurement of every choice.
    """
    judge, space = self.judge, self.judge.space
    column = space.table.column(measurement, "measurement")
    best = float(np.max(column[judge.fitting]))
    found, rank = space.smallest, (-np.inf, 0.0)
    regrets = np.empty(questions)
    for number in range(questions):
      if number < len(self.asked):
        arch = self.asked[number]
        price: Any = space.price_of(arch)
        own = judge.of(arch)[judge.told], -price
        if price <= judge.budget and own > rank:
          found, rank = arch, own
      regrets[number] = best - column[space.table.row(found)]
    return regrets
