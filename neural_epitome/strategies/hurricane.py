"""Late layers first, then the earlier ones with those as they were found: HURRICANE.

Zhang et al., Fast Hardware-Aware Neural Architecture Search, 2020 (arXiv 1910.11609):
what a network ends with matters more than what it begins with, so its last half is
searched first, by evolution. Their choice of operations by the device that they run on
is not here: a space has the operations that it has, and `latency` is a price of them.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from neural_epitome.domains import Count, Share
from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.spaces.genes import Genes
from neural_epitome.strategies.base import Problem, Questions, Strategy

# Attempts for each child, of which some are known already or cannot be made to fit.
_ATTEMPTS = 50


@dataclasses.dataclass(frozen=True)
class Hurricane(Strategy):
  """Evolution of one part of the genes after the other, from the last to the first.

  Attributes:
    parts: of equal size, into which the genes of each field are cut by their place.
    generations: of each part.
    population: choices in each generation.
    parents: the best ones so far that the next generation comes from.
    mutation: probability that a gene of the part is drawn anew.
  """

  kind: ClassVar[str] = "hurricane"

  parts: Count = 2
  generations: Count = 5
  population: Count = 20
  parents: Count = 8
  mutation: Share = 0.3

  def check(self) -> None:
    """Raises UserError if the options are unfit."""
    sizes = dataclasses.asdict(self)
    names = ("parts", "generations", "population", "parents")
    if min(sizes[name] for name in names) < 1:
      told = ", ".join(f"{name}={sizes[name]}" for name in names)
      raise UserError(f"search.strategy needs {told} above 0.")

  def search(self, problem: Problem) -> Questions:
    """Yields one generation after the other; see `Strategy.search`."""
    random, genes = np.random.default_rng(problem.seed), Genes(problem.space)
    known: dict[ArchEncoding, float] = {}
    first = problem.shrunk(problem.space.largest, random, problem.budget)
    parents = [first or problem.space.smallest]
    for free in reversed(_parts(problem, self.parts)):
      for _ in range(self.generations):
        archs = self._children(problem, random, genes, parents, free, known)
        if parents[0] not in known:
          archs = list(dict.fromkeys([*parents, *archs]))
        if not archs:
          break
        known |= zip(archs, (yield archs), strict=True)
        # Parents are the best of all: what is behind the part was the same in them.
        best = sorted(known, key=known.__getitem__, reverse=True)
        parents = best[: self.parents]
      # The next part starts from the one that is the best.
      parents = parents[:1]

  def expected(self, problem: Problem) -> int:
    """The choices of all generations."""
    del problem
    return self.parts * self.generations * self.population

  def _children(
    self,
    problem: Problem,
    random: np.random.Generator,
    genes: Genes,
    parents: list[ArchEncoding],
    free: np.ndarray,
    known: dict[ArchEncoding, float],
  ) -> list[ArchEncoding]:
    def parent() -> np.ndarray:
      return genes.options(parents[int(random.integers(len(parents)))])

    counts, children = np.array(genes.counts), {}
    for _ in range(_ATTEMPTS * self.population):
      if len(children) == self.population:
        break
      first, second = parent(), parent()
      chosen = np.where(random.random(len(free)) < 0.5, first, second)
      anew = random.integers(counts)
      chosen = np.where(random.random(len(free)) < self.mutation, anew, chosen)
      arch = genes.arch(np.where(free, chosen, first))
      fitting = problem.shrunk(arch, random, problem.budget)
      if fitting is not None and fitting not in known:
        children[fitting] = None
    return list(children)


def _parts(problem: Problem, parts: int) -> list[np.ndarray]:
  """Which genes are in each part, bool (genes,), the first places first."""
  fields = problem.space.choices.values()
  number = np.concatenate(
    [np.arange(len(genes)) * parts // len(genes) for genes in fields]
  )
  return [number == part for part in range(parts)]
