"""Random search: the control that every strategy must beat at equal evaluations."""

import dataclasses
from typing import ClassVar

import numpy as np

from neural_epitome.domains import Count
from neural_epitome.errors import UserError
from neural_epitome.strategies.base import Problem, Questions, Strategy


@dataclasses.dataclass(frozen=True)
class RandomSearch(Strategy):
  """Asks for choices drawn evenly, made cheaper where they exceed the budget.

  Attributes:
    evaluations: number of choices.
    batch: number of choices in one question.
  """

  kind: ClassVar[str] = "random"

  evaluations: Count = 100
  batch: Count = 10

  def check(self) -> None:
    """Raises UserError if the options are unfit."""
    if min(self.evaluations, self.batch) < 1:
      raise UserError(
        f"search.strategy needs evaluations={self.evaluations} and batch={self.batch} "
        "above 0."
      )

  def search(self, problem: Problem) -> Questions:
    """Yields the drawn choices in batches; see `Strategy.search`."""
    random = np.random.default_rng(problem.seed)
    archs = problem.drawn(random, self.evaluations)
    for begin in range(0, len(archs), self.batch):
      yield archs[begin : begin + self.batch]

  def expected(self, problem: Problem) -> int:
    """`evaluations`."""
    del problem
    return self.evaluations
