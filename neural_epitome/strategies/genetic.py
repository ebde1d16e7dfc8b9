"""A genetic algorithm on bits, as NAS-DIP has it (Ho et al., arXiv 2008.11713).

Every gene is written in binary, all one after the other; two parents change what is
behind a point of that string, wherever in a gene it falls, and bits flip. Parents win
tournaments; the best choice stays (elitism).
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
class Genetic(Strategy):
  """Generations of strings of bits.

  Attributes:
    generations: how many, the first, drawn one included.
    population: choices in each; NAS-DIP has 500 and 10 to 20 generations.
    tournament: drawn of the last generation and the best so far, of which the best one
      is a parent.
    mutation: probability that a bit flips.
  """

  kind: ClassVar[str] = "genetic"

  generations: Count = 10
  population: Count = 20
  tournament: Count = 3
  mutation: Share = 0.05

  def check(self) -> None:
    """Raises UserError if the options are unfit."""
    if min(self.generations, self.population, self.tournament) < 1:
      raise UserError(
        f"search.strategy needs generations={self.generations}, population="
        f"{self.population} and tournament={self.tournament} above 0."
      )

  def search(self, problem: Problem) -> Questions:
    """Yields one generation after the other; see `Strategy.search`."""
    random, genes = np.random.default_rng(problem.seed), Genes(problem.space)
    known: dict[ArchEncoding, float] = {}
    archs = problem.drawn(random, self.population)
    for _ in range(self.generations):
      if not archs:
        return
      known |= zip(archs, (yield archs), strict=True)
      # The last generation, and the best choice there was.
      living = [*dict.fromkeys([*archs, max(known, key=known.__getitem__)])]
      archs = self._children(problem, random, genes, living, known)

  def expected(self, problem: Problem) -> int:
    """The choices of all generations."""
    del problem
    return self.generations * self.population

  def _children(
    self,
    problem: Problem,
    random: np.random.Generator,
    genes: Genes,
    living: list[ArchEncoding],
    known: dict[ArchEncoding, float],
  ) -> list[ArchEncoding]:
    def parent() -> np.ndarray:
      drawn = random.integers(len(living), size=self.tournament)
      best = max((living[n] for n in drawn), key=known.__getitem__)
      return bits(genes.options(best), genes.counts)

    children: dict[ArchEncoding, None] = {}
    for _ in range(_ATTEMPTS * self.population):
      if len(children) == self.population:
        break
      first, second = parent(), parent()
      point = int(random.integers(len(first) + 1))
      child = np.concatenate([first[:point], second[point:]])
      child ^= random.random(len(child)) < self.mutation
      arch = genes.arch(options(child, genes.counts))
      fitting = problem.shrunk(arch, random, problem.budget)
      if fitting is not None and fitting not in known:
        children[fitting] = None
    return list(children)


def bits(chosen: np.ndarray, counts: tuple[int, ...]) -> np.ndarray:
  """The string of a choice's options, the highest bit of each gene first: bool (bits,).

  Args:
    chosen: an option a gene, whole numbers (genes,).
    counts: number of options of each gene; one of a single option has no bit.
  """
  written = [
    bool(option >> place & 1)
    for option, count in zip(chosen.tolist(), counts, strict=True)
    for place in reversed(range((count - 1).bit_length()))
  ]
  return np.array(written, bool)


def options(string: np.ndarray, counts: tuple[int, ...]) -> np.ndarray:
  """The options of a string, int32 (genes,): a number that a gene has not wraps around.

  Args:
    string: bool (bits,).
    counts: as for `bits`.
  """
  read, left = [], iter(string.tolist())
  for count in counts:
    number = 0
    for _ in range((count - 1).bit_length()):
      number = 2 * number + next(left)
    read.append(number % count)
  return np.array(read, np.int32)
