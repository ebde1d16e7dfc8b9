"""The agent learns what is worth most where that is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome.strategies import ddpg
from neural_epitome.strategies.ddpg import Ddpg, Transitions

OPTIONS = Ddpg(hidden=32, actor_rate=3e-3, critic_rate=1e-2, following=0.05)
# Seconds of compilation.
pytestmark = pytest.mark.slow


def learned(transitions, steps=600, options=OPTIONS):
  agent = ddpg.start(options, transitions.state.shape[1], jax.random.key(0))
  count = jnp.asarray(len(transitions.reward), jnp.int32)
  return ddpg.learn(options, agent, transitions, count, steps, jax.random.key(1))


def test_of_single_steps_it_learns_the_best_action_of_each_state():
  """What is worth most is 0.2 in one state, and 0.7 in the other."""
  random = np.random.default_rng(0)
  state = random.integers(2, size=(500, 1)).astype(np.float32)
  action = random.random((500, 1)).astype(np.float32)
  reward = 1.0 - 4.0 * np.square(action - np.where(state, 0.7, 0.2))[:, 0]
  last = np.ones(500, np.float32)
  agent = learned(
    Transitions(state, action, reward.astype(np.float32), state, last), steps=1500
  )
  for own, best in ((0.0, 0.2), (1.0, 0.7)):
    taken = float(ddpg.act(OPTIONS, agent, jnp.array([own])))
    assert taken == pytest.approx(best, abs=0.12)


def test_an_action_is_worth_what_comes_after_it():
  """The first step brings nothing; the second brings what the first one chose."""
  random = np.random.default_rng(0)
  chosen = random.random((300, 1)).astype(np.float32)
  here, there = np.zeros((300, 2), np.float32), np.zeros((300, 2), np.float32)
  there[:, :1], there[:, 1] = chosen, 1.0
  any_action = random.random((300, 1)).astype(np.float32)
  transitions = Transitions(
    np.concatenate([here, there]),
    np.concatenate([chosen, any_action]),
    np.concatenate([np.zeros(300), chosen[:, 0]]).astype(np.float32),
    np.concatenate([there, there]),
    np.repeat([0.0, 1.0], 300).astype(np.float32),
  )
  agent = learned(transitions, steps=1500)
  assert float(ddpg.act(OPTIONS, agent, jnp.zeros(2))) > 0.8


def test_an_untrained_agent_acts_in_the_middle_and_the_slow_copy_follows():
  agent = ddpg.start(OPTIONS, 3, jax.random.key(0))
  assert float(ddpg.act(OPTIONS, agent, jnp.ones(3))) == pytest.approx(0.5, abs=0.05)
  ones = np.ones((4, 3), np.float32)
  transitions = Transitions(ones, ones[:, :1], ones[:, 0], ones, ones[:, 0])
  after = learned(transitions, steps=1)
  moved = jax.tree.map(
    lambda new, old, slow: np.testing.assert_allclose(
      slow, old + OPTIONS.following * (new - old), atol=1e-6
    ),
    after.params,
    agent.params,
    after.slow,
  )
  assert moved
