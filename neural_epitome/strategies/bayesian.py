"""Bayesian optimisation: a surrogate of what was measured says what is worth asking."""

import dataclasses
from typing import ClassVar, Literal

import numpy as np

from neural_epitome.domains import Count, Share
from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.spaces.genes import Genes
from neural_epitome.strategies import acquisition, determinantal, gaussian_process
from neural_epitome.strategies.base import Problem, Questions, Strategy


@dataclasses.dataclass(frozen=True)
class Bayesian(Strategy):
  """Asks for the candidates from which most improvement is expected, a batch at a time.

  The surrogate is a Gaussian process over genes. Candidates are children of the best
  choices so far, and choices drawn anew.

  Attributes:
    evaluations: number of choices.
    first: of them, drawn before there is a surrogate.
    batch: choices between one surrogate and the next.
    candidates: compared for each batch.
    parents: the best choices so far, whose children are candidates.
    mutation: probability that a gene of a mutation is drawn anew.
    proposals: `apart` takes candidates that are good and differ from each other, by a
      determinantal point process (`determinantal`); `best` the best ones.
  """

  kind: ClassVar[str] = "bayesian"

  evaluations: Count = 200
  first: Count = 20
  batch: Count = 10
  candidates: Count = 64
  parents: Count = 10
  mutation: Share = 0.2
  proposals: Literal["apart", "best"] = "apart"

  def check(self) -> None:
    """Raises UserError if the options are unfit."""
    sizes = dataclasses.asdict(self)
    names = ("evaluations", "first", "batch", "candidates", "parents")
    if min(sizes[name] for name in names) < 1:
      told = ", ".join(f"{name}={sizes[name]}" for name in names)
      raise UserError(f"search.strategy needs {told} above 0.")

  def search(self, problem: Problem) -> Questions:
    """Yields what is drawn first, and then batch by batch; see `Strategy.search`."""
    random, genes = np.random.default_rng(problem.seed), Genes(problem.space)
    known: dict[ArchEncoding, float] = {}
    archs = problem.drawn(random, min(self.first, self.evaluations))
    while archs:
      known |= zip(archs, (yield archs), strict=True)
      count = min(self.batch, self.evaluations - len(known))
      if count < 1:
        return
      archs = self._next(problem, random, genes, known, count)

  def expected(self, problem: Problem) -> int:
    """`evaluations`."""
    del problem
    return self.evaluations

  def _next(
    self,
    problem: Problem,
    random: np.random.Generator,
    genes: Genes,
    known: dict[ArchEncoding, float],
    count: int,
  ) -> list[ArchEncoding]:
    candidates = acquisition.candidates(
      problem, random, known, self.candidates, self.parents, self.mutation
    )
    if not candidates:
      return []
    measured = np.array(list(known.values()))
    process = gaussian_process.fitted(np.stack([*map(genes.options, known)]), measured)
    options = np.stack([*map(genes.options, candidates)])
    quality = acquisition.expected_improvement(
      *process.predict(options), float(measured.max())
    )
    if self.proposals == "best":
      return [candidates[n] for n in np.argsort(-quality, kind="stable")[:count]]
    alike = gaussian_process.likeness(options, options, process.length)
    # Where nothing is expected of any, all are as good.
    quality = np.maximum(quality, 1e-12 * process.given.deviation)
    return [candidates[n] for n in determinantal.likeliest(quality, alike, count)]
