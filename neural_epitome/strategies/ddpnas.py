"""A distribution that loses its worst option of every gene, stage by stage: DDPNAS.

Zheng et al., Dynamic Distribution Pruning for Efficient Network Architecture Search
(arXiv 1905.13543): choices are drawn from a distribution, every option is judged by the
accuracy of those that had it, and the least likely ones are pruned until one a gene is
left. So the supernet behind it, where there is one, has ever fewer choices to serve.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from neural_epitome.domains import Count, Positive
from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.spaces.genes import Genes
from neural_epitome.strategies.base import Problem, Questions, Strategy


@dataclasses.dataclass(frozen=True)
class DistributionPruning(Strategy):
  """Stages of choices drawn from a distribution that loses options after each.

  Attributes:
    samples: choices of a stage. There are as many stages as the gene with the most
      options has of them.
    sharpness: how much a deviation of accuracy moves the logarithm of a probability.
  """

  kind: ClassVar[str] = "ddpnas"

  samples: Count = 40
  sharpness: Positive = 1.0

  def check(self) -> None:
    """Raises UserError if the options are unfit."""
    if self.samples < 1:
      raise UserError(f"search.strategy needs samples={self.samples} above 0.")

  def search(self, problem: Problem) -> Questions:
    """Yields the choices of each stage; see `Strategy.search`."""
    random, genes = np.random.default_rng(problem.seed), Genes(problem.space)
    known: dict[ArchEncoding, float] = {}
    # Logarithms of probabilities but for a constant; a pruned option has none.
    worth = [np.zeros(count) for count in genes.counts]
    while True:
      drawn = self._drawn(problem, genes, random, worth)
      unseen = [arch for arch in dict.fromkeys(drawn) if arch not in known]
      if unseen:
        known |= zip(unseen, (yield unseen), strict=True)
      if not drawn or max(map(_left, worth)) == 1:
        return
      self._learn(worth, np.stack([*map(genes.options, drawn)]), drawn, known)
      for own in worth:
        if _left(own) > 1:
          own[np.argmin(np.where(np.isfinite(own), own, np.inf))] = -np.inf

  def expected(self, problem: Problem) -> int:
    """The choices of all stages, the last of which has one."""
    return self.samples * (max(Genes(problem.space).counts) - 1) + 1

  def _drawn(
    self,
    problem: Problem,
    genes: Genes,
    random: np.random.Generator,
    worth: list[np.ndarray],
  ) -> list[ArchEncoding]:
    """Within the budget; those that cost more are made cheaper, whatever was pruned."""
    chances = [np.exp(own - own.max()) for own in worth]
    count = 1 if max(map(_left, worth)) == 1 else self.samples
    columns = [random.choice(len(p), count, p=p / p.sum()) for p in chances]
    drawn = [
      problem.shrunk(genes.arch(options), random, problem.budget)
      for options in np.array(columns).T
    ]
    return [arch for arch in drawn if arch is not None]

  def _learn(
    self,
    worth: list[np.ndarray],
    options: np.ndarray,
    drawn: list[ArchEncoding],
    known: dict[ArchEncoding, float],
  ) -> None:
    """Moves each option by the mean advantage of the choices that had it."""
    top1 = np.array([known[arch] for arch in drawn])
    advantages = (top1 - top1.mean()) / max(float(top1.std()), 1e-12)
    for own, column in zip(worth, options.T, strict=True):
      for option in np.unique(column):
        own[option] += self.sharpness * advantages[column == option].mean()


def _left(worth: np.ndarray) -> int:
  """The number of options that were not pruned."""
  return int(np.sum(np.isfinite(worth)))
