"""Every policy is a distribution, and learns along the gradient that it should."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome import codec
from neural_epitome.strategies.policies import Policy, policy_gradient
from neural_epitome.strategies.policies.policy_gradient import PolicyGradient

# A gene of one option and genes of several; two each for policies of gates.
COUNTS = {"categorical": (2, 4, 1, 3)}
KINDS = sorted(Policy.arms())
# Seconds of compilation.
pytestmark = pytest.mark.slow


@pytest.fixture(params=KINDS)
def policy(request):
  return Policy.arms()[request.param]()


@pytest.fixture
def counts(policy):
  return COUNTS.get(policy.kind, (2, 2, 2, 2))


@pytest.fixture
def everything(counts):
  """All architectures."""
  return jnp.array(list(itertools.product(*map(range, counts))), jnp.int32)


def moved(policy, counts):
  """Parameters that are not those of `init`."""
  params = policy.init(counts)
  leaves, tree = jax.tree.flatten(params)
  keys = jax.random.split(jax.random.key(3), len(leaves))
  noisy = [x + jax.random.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)]
  return jax.tree.unflatten(tree, noisy)


def logs(policy, params, options):
  return jax.vmap(functools.partial(policy.log_prob, params))(options)


def test_the_registered_ones_survive_json(policy):
  assert codec.decode(Policy, codec.encode(policy)) == policy


def test_probabilities_sum_to_one_and_are_even_at_the_start(policy, counts, everything):
  even = logs(policy, policy.init(counts), everything)
  np.testing.assert_allclose(even, -np.log(len(everything)), rtol=1e-5)
  total = jnp.sum(jnp.exp(logs(policy, moved(policy, counts), everything)))
  assert total == pytest.approx(1.0, abs=1e-5)


def test_what_is_drawn_has_these_probabilities(policy, counts, everything):
  params = moved(policy, counts)
  draw = functools.partial(policy.sample, params)
  drawn = jax.vmap(draw)(jax.random.split(jax.random.key(0), 20_000))
  matches = np.all(np.asarray(drawn)[:, None] == np.asarray(everything), axis=2)
  share = matches.mean(axis=0)
  assert share.sum() == pytest.approx(1.0)
  expected = np.exp(logs(policy, params, everything))
  np.testing.assert_allclose(share, expected, atol=0.012)


def test_entropy_and_mode_are_those_of_the_distribution(policy, counts, everything):
  params = moved(policy, counts)
  each = logs(policy, params, everything)
  exact = -jnp.sum(jnp.exp(each) * each)
  assert policy.entropy(params) == pytest.approx(float(exact), rel=1e-5)
  mode = policy.mode(params)
  assert np.all(mode == everything[jnp.argmax(each)])


def expected_reward(policy, params, everything, rewards):
  return jnp.sum(jnp.exp(logs(policy, params, everything)) * rewards)


def test_the_loss_has_the_gradient_of_the_expected_reward(policy, counts, everything):
  """Exactly, where each architecture counts by its probability."""
  params = moved(policy, counts)
  rewards = jax.random.normal(jax.random.key(5), (len(everything),))
  exact = jax.grad(lambda p: expected_reward(policy, p, everything, rewards))(params)
  weight = len(everything) * jnp.exp(logs(policy, params, everything))
  for baseline in (0.0, 2.0):
    loss = functools.partial(
      policy_gradient.loss,
      policy,
      options=everything,
      advantages=(rewards - baseline) * weight,
      entropy=0.0,
    )
    jax.tree.map(
      lambda ours, theirs: np.testing.assert_allclose(-ours, theirs, atol=1e-5),
      jax.grad(loss)(params),
      exact,
    )


def test_the_natural_gradient_is_that_of_the_fisher_information(
  policy, counts, everything
):
  params = moved(policy, counts)
  flat, unravel = jax.flatten_util.ravel_pytree(params)
  # Fisher information by its definition, over all architectures.
  each = jax.jacobian(lambda x: logs(policy, unravel(x), everything))(flat)
  probabilities = jnp.exp(logs(policy, params, everything))
  fisher = np.einsum("a,ai,aj->ij", probabilities, each, each)
  rewards = jax.random.normal(jax.random.key(5), (len(everything),))
  gradient = jax.grad(lambda p: expected_reward(policy, p, everything, rewards))(params)
  natural = policy.natural(params, gradient)
  expected = (
    np.linalg.pinv(fisher, rcond=1e-5) @ jax.flatten_util.ravel_pytree(gradient)[0]
  )
  ours = jax.flatten_util.ravel_pytree(natural)[0]
  np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4)


LEARNING = {
  "plain": PolicyGradient(learning_rate=0.05),
  "natural": PolicyGradient(learning_rate=0.1, gradient="natural"),
}


def learned(policy, counts, learning, steps, scale=1.0, offset=0.0, state=None):
  """Rewards are the share of genes at their last option."""
  last = jnp.asarray(counts)[None] - 1
  state = state or policy_gradient.start(policy, learning, counts)
  for _ in range(steps):
    key = jax.random.fold_in(jax.random.key(1), state.step)
    options = policy_gradient.sample(policy, state, 16, key)
    rewards = jnp.mean((options == last).astype(jnp.float32), axis=1)
    state = policy_gradient.update(
      policy, learning, state, options, offset + scale * rewards
    )
  return state


@pytest.mark.parametrize("learning", LEARNING.values(), ids=LEARNING)
def test_it_learns_what_is_rewarded(policy, counts, learning):
  state = learned(policy, counts, learning, 80)
  assert np.all(policy.mode(state.params) == np.array(counts) - 1)
  start = policy.entropy(policy.init(counts))
  assert policy.entropy(state.params) < 0.5 * start


@pytest.mark.parametrize("learning", LEARNING.values(), ids=LEARNING)
def test_the_unit_of_the_rewards_does_not_matter(policy, counts, learning):
  state = learned(policy, counts, learning, 10)
  other = learned(policy, counts, learning, 10, scale=50.0, offset=-7.0)
  for ours, theirs in zip(
    jax.tree.leaves(state.params), jax.tree.leaves(other.params), strict=True
  ):
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=2e-3)


def test_a_state_that_was_saved_goes_on_as_if_it_had_not(policy, counts, tmp_path):
  learning = LEARNING["plain"]
  half = learned(policy, counts, learning, 5)
  leaves, tree = jax.tree.flatten(half)
  np.savez(tmp_path / "state.npz", *leaves)
  with np.load(tmp_path / "state.npz") as file:
    read = jax.tree.unflatten(tree, [jnp.asarray(file[name]) for name in file.files])
  whole = learned(policy, counts, learning, 10)
  resumed = learned(policy, counts, learning, 5, state=read)
  jax.tree.map(np.testing.assert_array_equal, resumed, whole)


def test_a_bonus_for_entropy_holds_it_up(policy, counts):
  held = PolicyGradient(learning_rate=0.05, entropy=1.0)
  params = learned(policy, counts, held, 60).params
  free = learned(policy, counts, LEARNING["plain"], 60).params
  assert policy.entropy(params) > 1.5 * policy.entropy(free)


@pytest.mark.parametrize("learning", LEARNING.values(), ids=LEARNING)
@pytest.mark.parametrize("reward", [0.0, 0.7])
def test_a_batch_of_equal_rewards_teaches_nothing_and_the_next_no_more_than_others(
  policy, counts, learning, reward
):
  learning = dataclasses.replace(learning, entropy=0.0)
  state = policy_gradient.start(policy, learning, counts)
  options = policy_gradient.sample(policy, state, 10, jax.random.key(0))
  update = functools.partial(policy_gradient.update, policy, learning)
  tied = update(state, options, jnp.full(10, reward))
  jax.tree.map(np.testing.assert_array_equal, tied.params, state.params)
  rewards = reward + jnp.arange(10) / 100
  after, usual = update(tied, options, rewards), update(state, options, rewards)
  for before, ours, theirs in zip(
    *map(jax.tree.leaves, (state.params, after.params, usual.params)), strict=True
  ):
    # Ten rewards lie at most so many deviations from any baseline.
    assert np.linalg.norm(ours - before) < 10 * np.linalg.norm(theirs - before) + 1e-6


@pytest.mark.parametrize("learning", LEARNING.values(), ids=LEARNING)
def test_batches_of_one_move_a_policy_by_steps_of_the_learning_rate(
  policy, counts, learning
):
  state = policy_gradient.start(policy, learning, counts)
  options = policy_gradient.sample(policy, state, 1, jax.random.key(0))
  for reward in (0.5, 0.6):
    state = policy_gradient.update(
      policy, learning, state, options, jnp.array([reward])
    )
  for leaf, start in zip(
    *map(jax.tree.leaves, (state.params, policy.init(counts))), strict=True
  ):
    # A natural step is as long as the inverse of a probability.
    assert np.max(np.abs(leaf - start)) < 10 * learning.learning_rate
