"""A law of one number says what is worth asking: the search of FLASH.

Li et al., FLASH: Fast Neural Architecture Search with Hardware Optimization (arXiv
2108.00568). The predictor is in `degree_law`. The paper relaxes widths and depths and
finds the predicted optimum by simplicial homology (SHGO), with large steps first and
then small ones around what these found. Genes here are discrete, with no distance
between their options but the one that the law learns, and a degree is a sum over genes,
so there is no surface for SHGO to search. Its two levels are kept: steps of one gene,
or of one up and another down where a budget stands between, over the options in the
order of their capacities, large steps first. The paper fits its law once; here it is
fitted again with every batch of answers. (Law, SHGO and 25 networks are as published;
how the levels follow each other is recalled, not compared with the paper.)
"""

import dataclasses
from typing import ClassVar

import numpy as np

from neural_epitome.domains import Count, Positive
from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.spaces.genes import Genes
from neural_epitome.strategies import degree_law
from neural_epitome.strategies.base import Problem, Questions, Strategy
from neural_epitome.strategies.degree_law import DegreeLaw

# Choices that are priced to know what options cost.
_PRICED = 512
# Steps that are priced before a climb is said to be at its end.
_TRIED = 200


@dataclasses.dataclass(frozen=True)
class Flash(Strategy):
  """Asks for what the law predicts to be best within the budget, a batch at a time.

  Attributes:
    evaluations: number of choices.
    first: of them, drawn before there is a law; the paper's 25.
    batch: choices between one fit of the law and the next.
    climbs: searches of the predicted optimum, each from one of the best so far.
    held: how much capacities are held at what their options cost: the weight of a
      squared logarithm beside a squared deviation of accuracy.
  """

  kind: ClassVar[str] = "flash"

  evaluations: Count = 200
  first: Count = 25
  batch: Count = 10
  climbs: Count = 4
  held: Positive = 0.3

  def check(self) -> None:
    """Raises UserError if the options are unfit."""
    sizes = dataclasses.asdict(self)
    names = ("evaluations", "first", "batch", "climbs")
    if min(sizes[name] for name in names) < 1 or not self.held > 0:
      told = ", ".join(f"{name}={value}" for name, value in sizes.items())
      raise UserError(f"search.strategy needs {told} above 0.")

  def search(self, problem: Problem) -> Questions:
    """Yields what is drawn first, and then batch by batch; see `Strategy.search`."""
    random, genes = np.random.default_rng(problem.seed), Genes(problem.space)
    capacity = _capacity(problem, genes)
    known: dict[ArchEncoding, float] = {}
    archs = problem.drawn(random, min(self.first, self.evaluations))
    while archs:
      known |= zip(archs, (yield archs), strict=True)
      count = min(self.batch, self.evaluations - len(known))
      if count < 1:
        return
      law = degree_law.fitted(
        np.stack([*map(genes.options, known)]),
        np.array(list(known.values())),
        genes.counts,
        capacity,
        self.held,
      )
      archs = self._next(problem, random, genes, law, known, count)

  def expected(self, problem: Problem) -> int:
    """`evaluations`."""
    del problem
    return self.evaluations

  def _next(
    self,
    problem: Problem,
    random: np.random.Generator,
    genes: Genes,
    law: DegreeLaw,
    known: dict[ArchEncoding, float],
    count: int,
  ) -> list[ArchEncoding]:
    best = sorted(known, key=known.__getitem__, reverse=True)[: self.climbs]
    found: dict[ArchEncoding, float] = {}
    for top in dict.fromkeys(_climbed(problem, genes, law, arch) for arch in best):
      if top not in known:
        found[top] = _degree(genes, law, top)
      taken = 0
      for options in _steps(law, genes.options(top), genes.counts, stride=1)[:_TRIED]:
        arch = genes.arch(options)
        if arch not in known and problem.fits(arch):
          found[arch] = _degree(genes, law, arch)
          taken += 1
        if taken == count:
          break
    chosen = sorted(found, key=found.__getitem__, reverse=True)[:count]
    if len(chosen) < count:
      drawn = problem.drawn(random, count + len(known))
      fresh = [arch for arch in drawn if arch not in known and arch not in found]
      chosen += fresh[: count - len(chosen)]
    return chosen


def _capacity(problem: Problem, genes: Genes) -> np.ndarray:
  drawn = problem.space.sample(problem.seed, count=_PRICED)
  prices = np.array([problem.price(arch) for arch in drawn], np.float64)
  options = np.stack([*map(genes.options, drawn)])
  return degree_law.capacities(options, prices, genes.counts)


def _degree(genes: Genes, law: DegreeLaw, arch: ArchEncoding) -> float:
  return float(law.degree(genes.options(arch)))


def _climbed(
  problem: Problem, genes: Genes, law: DegreeLaw, arch: ArchEncoding
) -> ArchEncoding:
  """The choice of highest degree that steps lead to, large ones and then small ones."""
  own, stride = _degree(genes, law, arch), max(1, max(genes.counts) // 2)
  while stride:
    for options in _steps(law, genes.options(arch), genes.counts, stride)[:_TRIED]:
      if law.degree(options) <= own:
        stride //= 2
        break
      other = genes.arch(options)
      # Its canonical form may have other options.
      degree = _degree(genes, law, other)
      if degree > own and problem.fits(other):
        arch, own = other, degree
        break
    else:
      stride //= 2
  return arch


def _steps(
  law: DegreeLaw, options: np.ndarray, counts: tuple[int, ...], stride: int
) -> np.ndarray:
  """All that differ by a step of one gene, or of one up and another down.

  Args:
    law: which says what is up.
    options: of a choice, whole numbers (genes,).
    counts: number of options of each gene.
    stride: of a step, in the order of capacities.

  Returns:
    Options, whole numbers (steps, genes), the highest degree first.
  """
  up, down = [], []
  for gene, (start, count) in enumerate(zip(law.starts, counts, strict=True)):
    order = np.argsort(law.capacity[start : start + count], kind="stable")
    place = int(np.flatnonzero(order == options[gene])[0])
    for moves, to in ((up, place + stride), (down, place - stride)):
      if 0 <= to < count:
        moves.append((gene, int(order[to])))
  both = [(one, other) for one in up for other in down if one[0] != other[0]]
  # A step of one gene is made twice.
  moves = np.array([*((move, move) for move in up + down), *both], int)
  steps = np.repeat(options[None], len(moves), axis=0)
  if len(moves):
    steps[np.arange(len(moves))[:, None], moves[..., 0]] = moves[..., 1]
  return steps[np.argsort(-law.degree(steps), kind="stable")]
