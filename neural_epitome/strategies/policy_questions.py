"""The questions of a policy that learns: draw a batch, ask, learn, and over again."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.spaces.genes import Genes
from neural_epitome.strategies.base import Problem, Questions
from neural_epitome.strategies.policies import Policy, policy_gradient
from neural_epitome.strategies.policies.policy_gradient import Learning, State

# Drawn at a time for each choice of a batch, to find those within the budget.
_DRAWN = 16
# Batches for each one that would suffice if no choice were drawn twice.
_BATCHES = 10


def _accuracy(arch: ArchEncoding, top1: float) -> float:
  del arch
  return top1


@dataclasses.dataclass(frozen=True)
class Learner:
  """A policy, how it learns, and from what.

  Attributes:
    policy: the distribution.
    learning: its options.
    update: of both, a state, options and rewards, the state after; jitted.
    evaluations: the most choices that are asked for.
    batch: of a state, the choices that one step learns from.
    reward: of a choice and its accuracy; the accuracy itself if not given.
    within_budget: whether choices above the budget are made cheaper until they fit.
      Others are asked for as they are, and it is for the reward to tell.
  """

  policy: Policy
  learning: Learning
  update: Callable[..., State]
  evaluations: int
  batch: Callable[[State], int]
  reward: Callable[[ArchEncoding, float], float] = _accuracy
  within_budget: bool = True

  def questions(self, problem: Problem) -> Questions:
    """Yields what of each batch is new; see `Strategy.search`.

    A choice that was asked for before is not asked for again, and teaches again what it
    was measured at. It ends where the policy draws few other ones, too.
    """
    genes, random = Genes(problem.space), np.random.default_rng(problem.seed)
    state = policy_gradient.start(self.policy, self.learning, genes.counts)
    known: dict[ArchEncoding, float] = {}
    drawn_so_far, number = 0, 0
    while drawn_so_far < _BATCHES * self.evaluations:
      count = self.batch(state)
      drawn = self._drawn(problem, genes, random, state, number, count)
      number, drawn_so_far = number + 1, drawn_so_far + count
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
      rewards = np.array([self.reward(a, known[a]) for a, _ in drawn], np.float32)
      state = self.update(
        self.policy, self.learning, state, options, jnp.asarray(rewards)
      )

  def _drawn(
    self,
    problem: Problem,
    genes: Genes,
    random: np.random.Generator,
    state: State,
    number: int,
    count: int,
  ) -> list[tuple[ArchEncoding, np.ndarray]]:
    """Batch `number`, with the options of each choice.

    It is short, or empty, where few draws fit and the others cannot be made cheaper.
    """
    key = jax.random.fold_in(jax.random.key(problem.seed), number)
    sampled = policy_gradient.sample(self.policy, state, _DRAWN * count, key)
    drawn, others = [], []
    for options in np.asarray(sampled):
      arch = genes.arch(options)
      is_taken = not self.within_budget or problem.fits(arch)
      (drawn if is_taken else others).append((arch, options))
      if len(drawn) == count:
        return drawn
    for arch, _ in others:
      fitting = problem.shrunk(arch, random, problem.budget)
      if fitting is not None:
        drawn.append((fitting, genes.options(fitting)))
      if len(drawn) == count:
        break
    return drawn
