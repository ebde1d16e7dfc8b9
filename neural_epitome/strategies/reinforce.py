"""A policy that learns from what its architectures were measured at (REINFORCE).

Zoph and Le (arXiv 1611.01578) search so with a recurrent controller; here the genes are
independent unless another policy is named.
"""

import dataclasses
from typing import ClassVar

from neural_epitome.domains import Count
from neural_epitome.errors import UserError
from neural_epitome.strategies.base import Problem, Questions, Strategy
from neural_epitome.strategies.policies import Categorical, Policy, policy_gradient
from neural_epitome.strategies.policies.policy_gradient import PolicyGradient
from neural_epitome.strategies.policy_questions import Learner


@dataclasses.dataclass(frozen=True)
class Reinforce(Strategy):
  """Asks for choices drawn from a policy, and makes the better ones more likely.

  Of what is drawn, the choices within the budget are kept. Where those are too few,
  others are made cheaper until they fit. A choice that was asked for before is not
  asked for again, and teaches again what it was measured at.

  Attributes:
    evaluations: number of choices; fewer where the policy draws no other ones.
    batch: choices that one step of the policy learns from.
    policy: the distribution.
    learning: how it learns.
  """

  kind: ClassVar[str] = "reinforce"

  evaluations: Count = 200
  batch: Count = 10
  policy: Policy = Categorical()
  learning: PolicyGradient = PolicyGradient()

  def check(self) -> None:
    """Raises UserError if the options are unfit."""
    if min(self.evaluations, self.batch) < 1:
      raise UserError(
        f"search.strategy needs evaluations={self.evaluations} and batch={self.batch} "
        "above 0."
      )

  def search(self, problem: Problem) -> Questions:
    """Yields what of each batch is new; see `Strategy.search`."""
    return Learner(
      self.policy,
      self.learning,
      policy_gradient.update,
      self.evaluations,
      batch=lambda state: self.batch,
    ).questions(problem)

  def expected(self, problem: Problem) -> int:
    """`evaluations`."""
    del problem
    return self.evaluations
