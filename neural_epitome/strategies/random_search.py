"""Random search: the control that every strategy must beat at equal evaluations."""

import dataclasses
import itertools
from typing import ClassVar

import numpy as np

from neural_epitome.domains import Count, Share
from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.strategies import nse_rules
from neural_epitome.strategies.base import Problem, Questions, Strategy

# At a time, to look which of them are in the window.
_DRAWN = 8


@dataclasses.dataclass(frozen=True)
class RandomSearch(Strategy):
  """Asks for choices drawn evenly, made cheaper where they exceed the budget.

  Attributes:
    evaluations: number of choices.
    batch: number of choices in one question.
    window: share of the budget below it from which choices are taken as they are
      drawn: the control of a search in a window. 0 takes whatever fits, and makes
      cheaper what does not.
  """

  kind: ClassVar[str] = "random"

  evaluations: Count = 100
  batch: Count = 10
  window: Share = 0.0

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
    if self.window:
      archs = self._inside(problem)
    else:
      archs = problem.drawn(random, self.evaluations)
    for begin in range(0, len(archs), self.batch):
      yield archs[begin : begin + self.batch]

  def _inside(self, problem: Problem) -> list[ArchEncoding]:
    """Different choices of the window; fewer where draws seldom fall there."""
    half, stream = self.window * problem.budget / 2, itertools.count()
    inside, _ = nse_rules.draw_window(
      lambda: problem.space.sample(problem.seed, next(stream), count=_DRAWN),
      problem.price,
      problem.budget - half,
      half * (1.0 + 1e-9),
      self.evaluations,
    )
    return inside

  def expected(self, problem: Problem) -> int:
    """`evaluations`."""
    del problem
    return self.evaluations
