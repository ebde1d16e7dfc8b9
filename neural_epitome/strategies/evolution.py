"""Evolution over a supernet (SPOS, arXiv 1904.00420, algorithm 1)."""

import dataclasses
from typing import ClassVar

import numpy as np

from neural_epitome.domains import Count, Share
from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.strategies import variation
from neural_epitome.strategies.base import Problem, Questions, Strategy


@dataclasses.dataclass(frozen=True)
class Evolution(Strategy):
  """Half of a generation are children of two of the best, half mutations of one.

  Attributes:
    generations: how many, the first, drawn one included.
    population: choices in each.
    parents: the best ones so far that the next generation comes from.
    mutation: probability that a gene is drawn anew in a mutation.
  """

  kind: ClassVar[str] = "evolution"

  generations: Count = 10
  population: Count = 20
  parents: Count = 8
  mutation: Share = 0.1

  def check(self) -> None:
    """Raises UserError if the options are unfit."""
    if min(self.generations, self.population, self.parents) < 1:
      raise UserError(
        f"search.strategy needs generations={self.generations}, population="
        f"{self.population} and parents={self.parents} above 0."
      )

  def search(self, problem: Problem) -> Questions:
    """Yields one generation after the other; see `Strategy.search`."""
    random = np.random.default_rng(problem.seed)
    known: dict[ArchEncoding, float] = {}
    archs = problem.drawn(random, self.population)
    for _ in range(self.generations):
      if not archs:
        return
      known |= zip(archs, (yield archs), strict=True)
      # Sorting is stable: of equals the first that was asked for.
      best = sorted(known, key=known.__getitem__, reverse=True)[: self.parents]
      archs = variation.children(
        problem, random, best, known, self.population, self.mutation
      )

  def expected(self, problem: Problem) -> int:
    """The choices of all generations."""
    del problem
    return self.generations * self.population
