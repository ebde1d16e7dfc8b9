"""Accuracy times price to a power, and a policy that learns by PPO: MnasNet.

Tan et al., MnasNet, CVPR 2019 (arXiv 1807.11626), equations 2 and 3. A choice above the
budget is asked for as well and is worth less: so the policy learns what an option
costs. Where the paper's controller is recurrent, the genes are independent here unless
another policy is named.
"""

import dataclasses
from typing import ClassVar

from neural_epitome.domains import Count, Finite
from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.strategies.base import Problem, Questions, Strategy
from neural_epitome.strategies.policies import Categorical, Policy, proximal
from neural_epitome.strategies.policies.proximal import Proximal
from neural_epitome.strategies.policy_questions import Learner


def reward(
  top1: float, price: float, target: float, below: float, above: float
) -> float:
  """top1 (price / target)^w, where w is another one below the target than above.

  Args:
    top1: an accuracy, at least 0.
    price: of the architecture.
    target: what it should cost at most, in the same unit, above 0.
    below: w at or below the target (the paper's alpha).
    above: w above it (the paper's beta).
  """
  power = below if price <= target else above
  # A price of 0 to a power below 0 would be worth everything.
  return top1 * (max(price, 1e-9 * target) / target) ** power


@dataclasses.dataclass(frozen=True)
class MnasNet(Strategy):
  """Asks for choices drawn from a policy, whatever they cost.

  Attributes:
    evaluations: number of choices; fewer where the policy draws no other ones. The
      paper has about 8,000.
    batch: choices that the policy learns from at a time.
    below: the power of price over budget for choices within the budget: 0 in the
      paper's hard constraint, -0.07 in its soft one, by which twice the latency is
      worth an accuracy that is 5% higher.
    above: the power for others: -1 and -0.07.
    policy: the distribution.
    learning: how it learns.
  """

  kind: ClassVar[str] = "mnasnet"

  evaluations: Count = 200
  batch: Count = 10
  below: Finite = 0.0
  above: Finite = -1.0
  policy: Policy = Categorical()
  learning: Proximal = Proximal()

  def check(self) -> None:
    """Raises UserError if the options are unfit."""
    if min(self.evaluations, self.batch) < 1:
      raise UserError(
        f"search.strategy needs evaluations={self.evaluations} and batch={self.batch} "
        "above 0."
      )
    if max(self.below, self.above) > 0:
      raise UserError(
        f"search.strategy.below={self.below:g} and above={self.above:g} must be at "
        "most 0: above it, a dearer choice would be worth more."
      )

  def search(self, problem: Problem) -> Questions:
    """Yields what of each batch is new; see `Strategy.search`."""

    def worth(arch: ArchEncoding, top1: float) -> float:
      price = problem.price(arch)
      return reward(top1, price, problem.budget, self.below, self.above)

    return Learner(
      self.policy,
      self.learning,
      proximal.update,
      self.evaluations,
      batch=lambda state: self.batch,
      reward=worth,
      within_budget=False,
    ).questions(problem)

  def expected(self, problem: Problem) -> int:
    """`evaluations`."""
    del problem
    return self.evaluations
