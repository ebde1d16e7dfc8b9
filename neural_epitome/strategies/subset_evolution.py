"""Evolution of a subset of the space, a supernet trained anew on each.

The rounds of NSE (Ci et al., ICCV 2021, arXiv 2011.10904), on spaces where each gene
is one choice: its learned gates and its branches are left out, and choices are drawn
evenly from the subset. So a supernet shares its weights among few choices at a time.
"""

import dataclasses
from typing import ClassVar, cast

import numpy as np

from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.spaces.space import Divisible
from neural_epitome.strategies.base import Problem, Questions, Round, Strategy

# A gene's options: of each field, of each gene, numbers.
Options = dict[str, list[list[int]]]


@dataclasses.dataclass(frozen=True)
class SubsetEvolution(Strategy):
  """Each round keeps the options that its best choices use, and lets others join.

  An option that was passed over does not come back. Those of the smallest choice always
  stay, so that every subset has choices within the budget.

  Attributes:
    rounds: at most; it ends where no option is left to join.
    options: of each gene that are trained at a time. Where as many are in use, one more
      joins nevertheless, or the others would never be seen.
    samples: choices drawn in each round.
    window: share of the budget below it in which choices are kept: what is good for
      its low price alone is of no use.
  """

  kind: ClassVar[str] = "subset_evolution"
  trains: ClassVar[bool] = True

  rounds: int = 3
  options: int = 3
  samples: int = 40
  window: float = 0.1

  def check(self) -> None:
    """Raises UserError if the options are unfit."""
    if self.rounds < 1 or self.options < 2 or self.samples < 1:
      raise UserError(
        f"search.strategy needs rounds={self.rounds} and samples={self.samples} above "
        f"0, and options={self.options} above 1."
      )

  def search(self, problem: Problem) -> Questions:
    """See the class."""
    random = np.random.default_rng(problem.seed)
    space, kept = _divisible(problem), []
    used, waiting = _smallest(problem), _shuffled(problem, random)
    for _ in range(self.rounds):
      joined = _join(used, waiting, self.options)
      if not joined:
        return
      part = space.part(used)
      yield Round(part)
      drawn = dataclasses.replace(problem, space=part).drawn(random, self.samples)
      asked = list(dict.fromkeys([*kept, *map(space.canonical, drawn)]))
      if not asked:
        return
      answers = yield asked
      kept = self._front(problem, asked, answers)
      used = _used(problem, kept)

  def expected(self, problem: Problem) -> int:
    """All that are drawn."""
    del problem
    return self.rounds * self.samples

  def _front(
    self, problem: Problem, asked: list[ArchEncoding], answers: list[float]
  ) -> list[ArchEncoding]:
    """The front of all, in the window; the most accurate wherever it is."""
    lowest = (1.0 - self.window) * problem.budget
    priced = [
      (problem.price(arch), -top1) for arch, top1 in zip(asked, answers, strict=True)
    ]
    order = sorted(range(len(asked)), key=priced.__getitem__)
    front: list[int] = []
    for i in order:
      if not front or priced[i][1] < priced[front[-1]][1]:
        front.append(i)
    return [asked[i] for i in front if i == front[-1] or priced[i][0] >= lowest]


def _smallest(problem: Problem) -> Options:
  """Of each gene the option that the smallest choice has."""
  return _used(problem, [problem.space.smallest])


def _used(problem: Problem, archs: list[ArchEncoding]) -> Options:
  """Of each gene the options that choices have, and the smallest one."""
  rows = {
    field: [np.ravel(getattr(a, field)) for a in (problem.space.smallest, *archs)]
    for field in _divisible(problem).choices
  }
  return {
    field: [list(dict.fromkeys(map(int, gene))) for gene in zip(*of_archs, strict=True)]
    for field, of_archs in rows.items()
  }


def _divisible(problem: Problem) -> Divisible:
  # A strategy that trains is only given spaces whose parts can be trained.
  return cast(Divisible, problem.space)


def _shuffled(problem: Problem, random: np.random.Generator) -> Options:
  """Of each gene all options but the smallest choice's, in the order of joining."""
  smallest = _smallest(problem)
  options: Options = {}
  for field, genes in _divisible(problem).choices.items():
    left = [
      [option for option in gene if option != own]
      for gene, [own] in zip(genes, smallest[field], strict=True)
    ]
    options[field] = [random.permutation(gene).tolist() for gene in left]
  return options


def _join(used: Options, waiting: Options, most: int) -> bool:
  """Fills up the options of each gene from those that wait; whether any joined."""
  joined = False
  for field, genes in used.items():
    for gene, queue in zip(genes, waiting[field], strict=True):
      count = max(1, most - len(gene))
      joined |= bool(queue)
      gene += queue[:count]
      del queue[:count]
  return joined
