"""A probabilistic search that asks less the surer it is: FP-NAS.

Yan et al., FP-NAS: Fast Probabilistic Neural Architecture Search, CVPR 2021 (arXiv
2011.10949): the distribution learns by the importance weights of PARSEC, and as many
architectures are drawn for a step as its entropy asks for (their adaptive sampling).
Their second stage, a joint distribution over what the first one left, is not here: the
genes stay independent unless another policy is named.
"""

import dataclasses
from typing import ClassVar

from neural_epitome.domains import Count, Positive
from neural_epitome.errors import UserError
from neural_epitome.strategies.base import Problem, Questions, Strategy
from neural_epitome.strategies.policies import Categorical, Policy, importance
from neural_epitome.strategies.policies.importance import ImportanceWeighted
from neural_epitome.strategies.policies.policy_gradient import State
from neural_epitome.strategies.policy_questions import Learner


@dataclasses.dataclass(frozen=True)
class FpNas(Strategy):
  """Asks for choices drawn from a distribution over genes, within the budget.

  Attributes:
    evaluations: number of choices; fewer where the policy draws no other ones.
    samples_per_nat: choices of a step for each nat of the distribution's entropy (the
      paper's lambda).
    least: choices of a step of a distribution that is surer than that. The number is a
      multiple of it, so that few programs are compiled.
    policy: the distribution.
    learning: how it learns.
  """

  kind: ClassVar[str] = "fp_nas"

  evaluations: Count = 200
  samples_per_nat: Positive = 1.5
  least: Count = 4
  policy: Policy = Categorical()
  learning: ImportanceWeighted = ImportanceWeighted()

  def check(self) -> None:
    """Raises UserError if the options are unfit."""
    if min(self.evaluations, self.least) < 1:
      raise UserError(
        f"search.strategy needs evaluations={self.evaluations} and least={self.least} "
        "above 0."
      )

  def search(self, problem: Problem) -> Questions:
    """Yields what of each batch is new; see `Strategy.search`."""
    return Learner(
      self.policy, self.learning, importance.update, self.evaluations, self._samples
    ).questions(problem)

  def expected(self, problem: Problem) -> int:
    """`evaluations`."""
    del problem
    return self.evaluations

  def _samples(self, state: State) -> int:
    entropy = float(self.policy.entropy(state.params))
    return self.least * max(1, round(self.samples_per_nat * entropy / self.least))
