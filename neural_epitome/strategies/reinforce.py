"""A policy that learns from what its architectures were measured at (REINFORCE).

Zoph and Le (arXiv 1611.01578) search so with a recurrent controller; here the genes are
independent unless another policy is named.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.domains import Count
from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.spaces.genes import Genes
from neural_epitome.strategies.base import Problem, Questions, Strategy
from neural_epitome.strategies.policies import Categorical, Policy, policy_gradient
from neural_epitome.strategies.policies.policy_gradient import PolicyGradient, State

# Drawn at a time for each choice of a batch, to find those within the budget.
_DRAWN = 16
# Batches for each one that would suffice if no choice were drawn twice.
_BATCHES = 10


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
    genes, random = Genes(problem.space), np.random.default_rng(problem.seed)
    state = policy_gradient.start(self.policy, self.learning, genes.counts)
    known: dict[ArchEncoding, float] = {}
    for number in range(_BATCHES * -(-self.evaluations // self.batch)):
      drawn = self._drawn(problem, genes, random, state, number)
      if not drawn:
        continue
      unseen = [
        arch for arch in dict.fromkeys(a for a, _ in drawn) if arch not in known
      ]
      unseen = unseen[: self.evaluations - len(known)]
      if unseen:
        known |= zip(unseen, (yield unseen), strict=True)
      if len(known) >= self.evaluations:
        return
      options = jnp.asarray(np.stack([own for _, own in drawn]))
      rewards = jnp.asarray(np.array([known[a] for a, _ in drawn], np.float32))
      state = policy_gradient.update(
        self.policy, self.learning, state, options, rewards
      )

  def expected(self, problem: Problem) -> int:
    """`evaluations`."""
    del problem
    return self.evaluations

  def _drawn(
    self,
    problem: Problem,
    genes: Genes,
    random: np.random.Generator,
    state: State,
    number: int,
  ) -> list[tuple[ArchEncoding, np.ndarray]]:
    """Batch `number` of choices within the budget, with the options of each.

    It is short, or empty, where few draws fit and the others cannot be made cheaper.
    """
    key = jax.random.fold_in(jax.random.key(problem.seed), number)
    count = _DRAWN * self.batch
    sampled = policy_gradient.sample(self.policy, state, count, key)
    drawn, others = [], []
    for options in np.asarray(sampled):
      arch = genes.arch(options)
      (drawn if problem.fits(arch) else others).append((arch, options))
      if len(drawn) == self.batch:
        return drawn
    for arch, _ in others:
      fitting = problem.shrunk(arch, random, problem.budget)
      if fitting is not None:
        drawn.append((fitting, genes.options(fitting)))
      if len(drawn) == self.batch:
        break
    return drawn
