"""From simple to complex with a surrogate: the search of PNAS.

Liu et al., Progressive Neural Architecture Search, ECCV 2018 (arXiv 1712.00559),
algorithm 1. Where the paper's networks grow by a block of a cell, a choice grows by a
gene that leaves its cheapest option; where its surrogate is an ensemble of recurrent
or dense networks, it is a Gaussian process here.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from neural_epitome.domains import Count
from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.spaces.genes import Genes
from neural_epitome.strategies import gaussian_process
from neural_epitome.strategies.base import Problem, Questions, Strategy


@dataclasses.dataclass(frozen=True)
class Progressive(Strategy):
  """Each level frees one more gene of the choices that were best in the level before.

  All options of the gene are tried on all of them, by the surrogate, and the most
  promising ones are asked for. Genes that are not free yet are those of the cheapest
  choice.

  Attributes:
    beam: choices that are asked for, and grow further, in each level (the paper's K).
  """

  kind: ClassVar[str] = "progressive"

  beam: Count = 32

  def check(self) -> None:
    """Raises UserError if the options are unfit."""
    if self.beam < 1:
      raise UserError(f"search.strategy needs beam={self.beam} above 0.")

  def search(self, problem: Problem) -> Questions:
    """Yields the beam of each level; see `Strategy.search`."""
    genes = Genes(problem.space)
    known: dict[ArchEncoding, float] = {}
    beam = [problem.space.smallest]
    for gene, count in enumerate(genes.counts):
      grown = self._grown(problem, genes, beam, gene, count)
      unseen = self._promising(genes, known, [a for a in grown if a not in known])
      if unseen:
        known |= zip(unseen, (yield unseen), strict=True)
      # What it grew from may still be better than all that it grew to.
      here = [arch for arch in dict.fromkeys([*beam, *grown]) if arch in known]
      beam = sorted(here, key=known.__getitem__, reverse=True)[: self.beam] or beam

  def expected(self, problem: Problem) -> int:
    """A beam for each gene, at most what there is to grow."""
    total, wide = 0, 1
    for count in Genes(problem.space).counts:
      total += min(self.beam, wide * count)
      wide = min(self.beam, wide * count)
    return total

  def _grown(
    self,
    problem: Problem,
    genes: Genes,
    beam: list[ArchEncoding],
    gene: int,
    count: int,
  ) -> list[ArchEncoding]:
    """All that differ from one of the beam in this gene alone, within the budget."""
    grown: dict[ArchEncoding, None] = {}
    for arch in beam:
      for option in range(count):
        options = genes.options(arch)
        options[gene] = option
        other = genes.arch(options)
        if problem.fits(other):
          grown[other] = None
    return list(grown)

  def _promising(
    self, genes: Genes, known: dict[ArchEncoding, float], archs: list[ArchEncoding]
  ) -> list[ArchEncoding]:
    if len(archs) <= self.beam or not known:
      return archs[: self.beam]
    process = gaussian_process.fitted(
      np.stack([*map(genes.options, known)]), np.array(list(known.values()))
    )
    mean, _ = process.predict(np.stack([*map(genes.options, archs)]))
    return [archs[n] for n in np.argsort(-mean, kind="stable")[: self.beam]]
