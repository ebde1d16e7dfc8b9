"""Evolution over a supernet (SPOS, arXiv 1904.00420, algorithm 1)."""

import dataclasses
from typing import ClassVar

import jax
import numpy as np

from neural_epitome.domains import Count, Share
from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import ArchEncoding
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
      archs = self._children(problem, random, best, known)

  def expected(self, problem: Problem) -> int:
    """The choices of all generations."""
    del problem
    return self.generations * self.population

  def _children(
    self,
    problem: Problem,
    random: np.random.Generator,
    best: list[ArchEncoding],
    known: dict[ArchEncoding, float],
  ) -> list[ArchEncoding]:
    children: dict[ArchEncoding, None] = {}
    for attempt in range(50 * self.population):
      if len(children) == self.population:
        break
      first = best[int(random.integers(len(best)))]
      if attempt % 2:
        other, share = best[int(random.integers(len(best)))], 0.5
      else:
        stream = int(random.integers(2**31))
        [other] = problem.space.sample(problem.seed, stream, count=1)
        share = self.mutation
      child = problem.shrunk(
        problem.space.canonical(_mixed(first, other, share, random)),
        random,
        problem.budget,
      )
      if child is not None and child not in known:
        children[child] = None
    return list(children)


def _mixed(
  first: ArchEncoding, other: ArchEncoding, share: float, random: np.random.Generator
) -> ArchEncoding:
  """Each gene of the other choice with probability `share`."""

  def mixed(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return np.where(random.random(mine.shape) < share, theirs, mine)

  return jax.tree.map(mixed, first, other)
