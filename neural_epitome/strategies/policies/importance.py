"""How a policy learns from likelihoods: the importance weights of PARSEC.

Casale et al., Probabilistic Neural Architecture Search (arXiv 1902.05116): the
distribution is moved to where the data are likelier, by the gradient of the mean
log-probability of what was drawn, each architecture weighted by its share of all the
batch's likelihoods (their equations for the gradient by the distribution's parameters).
Measured accuracies are no likelihoods: a weight is here the exponential of the accuracy
in units of the batch's deviation.
"""

import dataclasses
import functools

import jax
import optax

from neural_epitome.domains import Decay, Positive
from neural_epitome.strategies.policies import policy_gradient
from neural_epitome.strategies.policies.base import Policy
from neural_epitome.strategies.policies.policy_gradient import State


@dataclasses.dataclass(frozen=True)
class ImportanceWeighted:
  """How a policy learns.

  Attributes:
    learning_rate: of Adam.
    sharpness: factor of the exponent; the larger, the more the best of a batch counts.
    decay: see `policy_gradient.PolicyGradient`.
  """

  learning_rate: Positive = 0.1
  sharpness: Positive = 2.0
  decay: Decay = 0.9

  def optimizer(self) -> optax.GradientTransformation:
    """The rule that makes steps of gradients."""
    return optax.adam(self.learning_rate)


@functools.partial(jax.jit, static_argnums=(0, 1))
def update(
  policy: Policy,
  learning: ImportanceWeighted,
  state: State,
  options: jax.Array,
  rewards: jax.Array,
) -> State:
  """One step towards what is likelier; a pure function.

  Args:
    policy: the family.
    learning: how it learns.
    state: before; `policy_gradient.start` makes the first one.
    options: int32 (batch, genes), drawn from the policy.
    rewards: float32 (batch,), the more the better.
  """
  advantages, told = policy_gradient.judged(state, rewards, learning.decay)
  shares = jax.nn.softmax(learning.sharpness * advantages)
  gradient = jax.grad(policy_gradient.loss, argnums=1)(
    policy, state.params, options, len(rewards) * shares, 0.0
  )
  return policy_gradient.advance(learning, told, gradient)
