"""How a policy learns from measured rewards: REINFORCE, plain or natural.

The gradient of the expected reward is the mean of (reward - baseline) times the
gradient of the log-probability (Williams, Machine Learning 8, 1992). The baseline is a
moving mean of the rewards, and advantages are in units of their moving deviation, or of
the batch's own where that is larger: so the weight of the entropy means the same for
accuracies and for losses, and no batch makes a step out of scale.
"""

import dataclasses
import functools
from typing import Any, Literal, Protocol

import jax
import jax.numpy as jnp
import optax

from neural_epitome.domains import Amount, Decay, Positive
from neural_epitome.strategies.policies.base import Policy

# Rewards are equal if they differ by less than this share of them.
_ROUNDING = 8 * float(jnp.finfo(jnp.float32).eps)


@dataclasses.dataclass(frozen=True)
class PolicyGradient:
  """How a policy learns.

  Attributes:
    learning_rate: of Adam for the plain gradient, and of the plain step along the
      natural one.
    gradient: which of both.
    entropy: weight of the entropy, in nats, beside the advantage.
    decay: of what the moving mean and deviation of the rewards were, a step.
  """

  learning_rate: Positive = 0.1
  gradient: Literal["plain", "natural"] = "plain"
  entropy: Amount = 0.01
  decay: Decay = 0.9

  def optimizer(self) -> optax.GradientTransformation:
    """The rule that makes steps of gradients."""
    rule = optax.adam if self.gradient == "plain" else optax.sgd
    return rule(self.learning_rate)


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=["params", "moments", "mean", "deviation", "step"],
  meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class State:
  """A policy that learns: a pytree.

  Attributes:
    params: of the policy.
    moments: of the optimiser.
    mean: of the rewards, float32.
    deviation: of the rewards from it, float32.
    step: updates so far, int32.
  """

  params: Any
  moments: Any
  mean: jax.Array
  deviation: jax.Array
  step: jax.Array


class Learning(Protocol):
  """Options of a way to learn, each of which has an `update` beside it."""

  def optimizer(self) -> optax.GradientTransformation:
    """The rule that makes steps of gradients."""
    ...


def start(policy: Policy, learning: Learning, counts: tuple[int, ...]) -> State:
  """The state before the first update; see `Policy.init`."""
  return start_from(policy.init(counts), learning)


def start_from(params: Any, learning: Learning) -> State:
  """The state of these parameters before the first update."""
  moments = learning.optimizer().init(params)
  zero = jnp.zeros((), jnp.float32)
  return State(params, moments, zero, zero, jnp.zeros((), jnp.int32))


@functools.partial(jax.jit, static_argnums=(0, 2))
def sample(policy: Policy, state: State, count: int, key: jax.Array) -> jax.Array:
  """Draws so many architectures: int32 (count, genes)."""
  draw = functools.partial(policy.sample, state.params)
  return jax.vmap(draw)(jax.random.split(key, count))


def loss(
  policy: Policy,
  params: Any,
  options: jax.Array,
  advantages: jax.Array,
  entropy: float | jax.Array,
) -> jax.Array:
  """What is minimised; its gradient is that of REINFORCE.

  Args:
    policy: the family.
    params: of the policy.
    options: int32 (batch, genes), drawn from it.
    advantages: float32 (batch,).
    entropy: weight of the entropy.
  """
  logs = jax.vmap(functools.partial(policy.log_prob, params))(options)
  expected = jnp.mean(jax.lax.stop_gradient(advantages) * logs)
  return -expected - entropy * policy.entropy(params)


def judged(
  state: State, rewards: jax.Array, decay: float, expected: jax.Array | None = None
) -> tuple[jax.Array, State]:
  """How much better than usual a batch is, and the state that knows of it.

  Args:
    state: before.
    rewards: (batch,), the more the better.
    decay: of what the moving mean and deviation were.
    expected: (batch,), what each reward is compared with; the moving mean if None.

  Returns:
    Advantages, float32 (batch,), in units of the deviation, and 0 where rewards are
    equal; the state with mean, deviation and step of after, its policy as it was.
  """
  rewards = rewards.astype(jnp.float32)
  is_first = state.step == 0
  mean = jnp.where(is_first, jnp.mean(rewards), state.mean)
  from_it = rewards - (mean if expected is None else expected)
  spread = jnp.sqrt(jnp.mean(from_it**2))
  deviation = jnp.where(is_first, spread, state.deviation)
  # The moving deviation is short where batches before had no spread, as tied ones.
  scale = jnp.maximum(deviation, spread)
  # Of equal rewards, even the mean's rounding is a distance.
  least = _ROUNDING * jnp.max(jnp.abs(rewards))
  differ = scale > least
  advantages = jnp.where(differ, from_it / jnp.where(differ, scale, 1.0), 0.0)
  told = dataclasses.replace(
    state,
    mean=decay * mean + (1 - decay) * jnp.mean(rewards),
    deviation=decay * deviation + (1 - decay) * spread,
    step=state.step + 1,
  )
  return advantages, told


@functools.partial(jax.jit, static_argnums=(0, 1))
def update(
  policy: Policy,
  learning: PolicyGradient,
  state: State,
  options: jax.Array,
  rewards: jax.Array,
) -> State:
  """One step towards what was rewarded; a pure function.

  Args:
    policy: the family.
    learning: how it learns.
    state: before.
    options: int32 (batch, genes), drawn from the policy. Where a few were drawn out of
      more, as those within a budget, the step is that of the policy given the budget:
      its normalisation drops out, advantages being around 0.
    rewards: float32 (batch,), the more the better.
  """
  advantages, told = judged(state, rewards, learning.decay)
  of_params = functools.partial(
    loss, policy, options=options, advantages=advantages, entropy=learning.entropy
  )
  gradient = jax.grad(of_params)(state.params)
  if learning.gradient == "natural":
    gradient = policy.natural(state.params, gradient)
  return advance(learning, told, gradient)


def advance(learning: Learning, told: State, gradient: Any) -> State:
  """The state after a step along a gradient.

  Args:
    learning: how the policy learns.
    told: of `judged`.
    gradient: of what is minimised, by the parameters.
  """
  # Optax mixes floats with integer counts, which strict promotion does not allow.
  with jax.numpy_dtype_promotion("standard"):
    updates, moments = learning.optimizer().update(gradient, told.moments)
  params = optax.apply_updates(told.params, updates)
  return dataclasses.replace(told, params=params, moments=moments)
