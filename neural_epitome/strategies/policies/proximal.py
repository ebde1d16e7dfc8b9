"""How a policy learns from measured rewards in several careful steps: PPO.

Schulman et al., Proximal Policy Optimization Algorithms (arXiv 1707.06347), equation 7:
the ratio of an architecture's probability to what it was when it was drawn is worth no
more than 1 + clip where it was rewarded, and no less than 1 - clip where it was not. So
one batch is learned from several times, and the policy stays near what drew it.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from neural_epitome.domains import Amount, Count, Decay, Positive
from neural_epitome.strategies.policies import policy_gradient
from neural_epitome.strategies.policies.base import Policy
from neural_epitome.strategies.policies.policy_gradient import State


@dataclasses.dataclass(frozen=True)
class Proximal:
  """How a policy learns.

  Attributes:
    learning_rate: of Adam.
    clip: how far a probability moves for a batch, as a share of it.
    passes: steps for each batch.
    entropy: weight of the entropy, in nats, beside the advantage.
    decay: see `policy_gradient.PolicyGradient`.
  """

  learning_rate: Positive = 0.05
  clip: Positive = 0.2
  passes: Count = 4
  entropy: Amount = 0.01
  decay: Decay = 0.9

  def optimizer(self) -> optax.GradientTransformation:
    """The rule that makes steps of gradients."""
    return optax.adam(self.learning_rate)


def loss(
  policy: Policy,
  learning: Proximal,
  params: Any,
  options: jax.Array,
  advantages: jax.Array,
  before: jax.Array,
) -> jax.Array:
  """What is minimised.

  Args:
    policy: the family.
    learning: how it learns.
    params: of the policy.
    options: int32 (batch, genes).
    advantages: float32 (batch,).
    before: float32 (batch,), log-probabilities when they were drawn, in nats.
  """
  logs = jax.vmap(functools.partial(policy.log_prob, params))(options)
  ratio = jnp.exp(logs - before)
  clipped = jnp.clip(ratio, 1.0 - learning.clip, 1.0 + learning.clip)
  worth = jnp.minimum(ratio * advantages, clipped * advantages)
  return -jnp.mean(worth) - learning.entropy * policy.entropy(params)


@functools.partial(jax.jit, static_argnums=(0, 1))
def update(
  policy: Policy,
  learning: Proximal,
  state: State,
  options: jax.Array,
  rewards: jax.Array,
) -> State:
  """The steps of one batch; a pure function.

  Args:
    policy: the family.
    learning: how it learns.
    state: before; `policy_gradient.start` makes the first one.
    options: int32 (batch, genes), drawn from the policy.
    rewards: float32 (batch,), the more the better.
  """
  advantages, told = policy_gradient.judged(state, rewards, learning.decay)
  before = jax.vmap(functools.partial(policy.log_prob, state.params))(options)

  def step(now: State, _: None) -> tuple[State, None]:
    gradient = jax.grad(loss, argnums=2)(
      policy, learning, now.params, options, advantages, before
    )
    return policy_gradient.advance(learning, now, gradient), None

  return jax.lax.scan(step, told, length=learning.passes)[0]
