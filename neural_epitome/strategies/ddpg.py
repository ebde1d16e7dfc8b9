"""An agent with continuous actions: deep deterministic policy gradient (DDPG).

Lillicrap et al., Continuous control with deep reinforcement learning, ICLR 2016 (arXiv
1509.02971), algorithm 1: a critic learns what an action in a state is worth, an actor
to act by it, and both bootstrap from slow copies of themselves. All of it is a pytree
and pure functions of it.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from neural_epitome.domains import Count, Positive, Share

# The last layers start near 0, so that first actions are even and first values small.
_LAST = 3e-3


@dataclasses.dataclass(frozen=True)
class Ddpg:
  """The agent's options; the defaults are those of AMC.

  Attributes:
    hidden: units of each of two layers, of actor and critic.
    actor_rate: learning rate of Adam.
    critic_rate: likewise.
    following: how far the slow copies go to the agent in one step (tau).
    discount: of what comes after an action.
    batch: transitions that a step learns from.
  """

  hidden: Count = 300
  actor_rate: Positive = 1e-4
  critic_rate: Positive = 1e-3
  following: Share = 0.01
  discount: Share = 1.0
  batch: Count = 64

  @property
  def actor(self) -> nn.Module:
    """States (..., features) -> actions in [0, 1], (..., 1)."""
    return _Network(self.hidden, is_bounded=True)

  @property
  def critic(self) -> nn.Module:
    """States and actions (..., features + 1) -> values (..., 1)."""
    return _Network(self.hidden, is_bounded=False)

  def optimizer(self) -> optax.GradientTransformation:
    """The rules of both networks."""
    rates = {"actor": self.actor_rate, "critic": self.critic_rate}
    return optax.multi_transform(
      {name: optax.adam(rate) for name, rate in rates.items()},
      {name: name for name in rates},
    )


class _Network(nn.Module):
  """Two hidden layers.

  Attributes:
    hidden: units of each.
    is_bounded: whether what comes out is in [0, 1].
  """

  hidden: int
  is_bounded: bool

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Features (..., features) -> (..., 1)."""
    for _ in range(2):
      x = nn.relu(nn.Dense(self.hidden)(x))
    last = nn.initializers.uniform(2 * _LAST)
    x = nn.Dense(1, kernel_init=lambda *args: last(*args) - _LAST)(x)
    return nn.sigmoid(x) if self.is_bounded else x


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=["params", "slow", "moments"],
  meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class Agent:
  """Actor and critic: a pytree.

  Attributes:
    params: of both, by their names.
    slow: their copies.
    moments: of the optimiser.
  """

  params: Any
  slow: Any
  moments: Any


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=["state", "action", "reward", "following", "is_last"],
  meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class Transitions:
  """What was done, what it brought, and where it led.

  Attributes:
    state: float32 (transitions, features).
    action: float32 (transitions, 1).
    reward: float32 (transitions,).
    following: states after, float32 (transitions, features).
    is_last: float32 (transitions,), 1 where nothing comes after.
  """

  state: Any
  action: Any
  reward: Any
  following: Any
  is_last: Any


def start(options: Ddpg, features: int, key: jax.Array) -> Agent:
  """The agent that has learned nothing.

  Args:
    options: of the agent.
    features: of a state.
    key: of its parameters.
  """
  first, second = jax.random.split(key)
  params = {
    "actor": options.actor.init(first, jnp.zeros(features)),
    "critic": options.critic.init(second, jnp.zeros(features + 1)),
  }
  return Agent(params, params, options.optimizer().init(params))


@functools.partial(jax.jit, static_argnums=0)
def act(options: Ddpg, agent: Agent, state: jax.Array) -> jax.Array:
  """The action of a state: float32 scalar in [0, 1]."""
  return _action(options, agent.params, state)[0]


def _action(options: Ddpg, params: Any, state: jax.Array) -> Any:
  return options.actor.apply(params["actor"], state)


def _value(options: Ddpg, params: Any, state: jax.Array, action: jax.Array) -> Any:
  both = jnp.concatenate([state, action], axis=-1)
  value: Any = options.critic.apply(params["critic"], both)
  return value[..., 0]


def loss(options: Ddpg, params: Any, slow: Any, batch: Transitions) -> jax.Array:
  """Of both networks; each one's gradient is that of its own part alone."""
  after = _action(options, slow, batch.following)
  ahead = _value(options, slow, batch.following, after) * (1.0 - batch.is_last)
  target = jax.lax.stop_gradient(batch.reward + options.discount * ahead)
  wrong = _value(options, params, batch.state, batch.action) - target
  # The actor climbs the critic as it is.
  judge = params | {"critic": jax.lax.stop_gradient(params["critic"])}
  action = _action(options, params, batch.state)
  return jnp.mean(wrong**2) - jnp.mean(_value(options, judge, batch.state, action))


@functools.partial(jax.jit, static_argnums=(0, 4))
def learn(
  options: Ddpg,
  agent: Agent,
  replay: Transitions,
  count: jax.Array,
  steps: int,
  key: jax.Array,
) -> Agent:
  """So many steps, each on transitions drawn from what is known; a pure function.

  Args:
    options: of the agent.
    agent: before.
    replay: a store of transitions, of which the first `count` are filled.
    count: int32, above 0.
    steps: how many.
    key: of what is drawn.
  """

  def step(agent: Agent, key: jax.Array) -> tuple[Agent, None]:
    drawn = jax.random.randint(key, (options.batch,), 0, count)
    batch = jax.tree.map(lambda x: x[drawn], replay)
    gradient = jax.grad(loss, argnums=1)(options, agent.params, agent.slow, batch)
    # Optax mixes floats with integer counts, which strict promotion does not allow.
    with jax.numpy_dtype_promotion("standard"):
      updates, moments = options.optimizer().update(gradient, agent.moments)
    params = optax.apply_updates(agent.params, updates)
    slow = optax.incremental_update(params, agent.slow, options.following)
    return Agent(params, slow, moments), None

  return jax.lax.scan(step, agent, jax.random.split(key, steps))[0]
