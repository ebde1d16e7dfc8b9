"""Evolution of a subset of the space, a supernet trained anew on each.

The rounds of NSE (Ci et al., ICCV 2021, arXiv 2011.10904), on spaces where each gene
is one choice: its learned gates and its branches are left out, and choices are drawn
evenly from the subset. So a supernet shares its weights among few choices at a time.
"""

import dataclasses
from typing import Annotated, ClassVar, cast

import numpy as np

from neural_epitome.domains import Count, Domain, Share
from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.spaces.space import Divisible
from neural_epitome.strategies.archive import ParetoArchive
from neural_epitome.strategies.base import Problem, Questions, Round, Strategy
from neural_epitome.strategies.option_pools import OptionPools, Options

_FRONT = ParetoArchive(minimised=("price",), maximised=("top1",))


@dataclasses.dataclass(frozen=True)
class SubsetEvolution(Strategy):
  """Each round keeps the options that its best choices use, and lets others join.

  An option that was passed over does not come back. Those of the smallest choice always
  stay, so that every subset has choices within the budget.

  Attributes:
    rounds: the most that there are; the search ends where no option is left to join.
    options: of each gene that are trained at a time. Where as many are in use, one more
      joins nevertheless, or the others would never be seen.
    samples: choices drawn in each round.
    window: share of the budget below it in which choices are kept: what is good for
      its low price alone is of no use.
  """

  kind: ClassVar[str] = "subset_evolution"
  trains: ClassVar[bool] = True

  rounds: Count = 3
  options: Annotated[int, Domain(least=2, most=1024)] = 3
  samples: Count = 40
  window: Share = 0.1

  def check(self) -> None:
    """Raises UserError if the options are unfit."""
    if self.rounds < 1 or self.options < 2 or self.samples < 1:
      raise UserError(
        f"search.strategy needs rounds={self.rounds} and samples={self.samples} above "
        f"0, and options={self.options} above 1."
      )

  def search(self, problem: Problem) -> Questions:
    """Yields a `Round` and its choices, over and over; see `Strategy.search`."""
    random = np.random.default_rng(problem.seed)
    # A strategy that trains is only given spaces whose parts can be trained.
    space, kept = cast(Divisible, problem.space), []
    options = [gene for genes in space.choices.values() for gene in genes]
    pools = OptionPools.start(options, random, _used(space, []))
    for _ in range(self.rounds):
      if not any(pools.pending):
        return
      pools = pools.refill(self.options, least=1)
      part = space.part(_by_field(space, pools.active))
      yield Round(part)
      drawn = dataclasses.replace(problem, space=part).drawn(random, self.samples)
      candidates = list(dict.fromkeys([*kept, *map(space.canonical, drawn)]))
      if not candidates:
        return
      answers = yield candidates
      kept = self._front(problem, candidates, answers)
      # What stands for a choice may have options that are outside of the part.
      used = zip(_used(space, kept), pools.active, strict=True)
      pools = pools.keep([[o for o in own if o in active] for own, active in used])

  def expected(self, problem: Problem) -> int:
    """The choices that are drawn in all rounds."""
    del problem
    return self.rounds * self.samples

  def _front(
    self, problem: Problem, candidates: list[ArchEncoding], answers: list[float]
  ) -> list[ArchEncoding]:
    """The front of all, in the window; the most accurate wherever it is."""
    measured = [
      (arch, {"price": problem.price(arch), "top1": top1})
      for arch, top1 in zip(candidates, answers, strict=True)
    ]
    front = _FRONT.add(measured).points
    lowest = (1.0 - self.window) * problem.budget
    # By two objectives the dearest is the most accurate.
    return [p.arch for p in front if p.values[0] >= lowest or p is front[-1]]


def _used(space: Divisible, archs: list[ArchEncoding]) -> list[list[int]]:
  """Of each gene the options that choices have, and the smallest one."""
  rows = [
    np.concatenate([np.ravel(getattr(arch, field)) for field in space.choices])
    for arch in (space.smallest, *archs)
  ]
  return [list(dict.fromkeys(gene.tolist())) for gene in np.array(rows).T]


def _by_field(space: Divisible, options: Options) -> dict[str, list[tuple[int, ...]]]:
  """The options of all genes in the form of `Space.choices`."""
  left = iter(options)
  return {field: [next(left) for _ in genes] for field, genes in space.choices.items()}
