"""ESNAC's kernel is a covariance, and learns to tell measurements from each other."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome.strategies import learned_kernel
from neural_epitome.strategies.learned_kernel import Embedding

COUNTS, PLACES, RATE = (4, 3, 4, 2), (0, 1, 2, 0), 0.02
EMBEDDING = Embedding(COUNTS, PLACES, hidden=4, features=4)
# Its functions compile for seconds.
pytestmark = pytest.mark.xdist_group("learned_kernel")


@functools.cache
def kernels():
  return learned_kernel.start(EMBEDDING, RATE, jax.random.key(0), 2)


def measured(count, seed=0):
  """Choices, and what each is worth: genes add up. Of mean 0 and deviation 1."""
  options = np.random.default_rng(seed).integers(COUNTS, size=(count, len(COUNTS)))
  worth = options @ np.array([1.0, -1.0, 2.0, 1.0])
  return (
    jnp.asarray(options, jnp.int32),
    jnp.asarray((worth - worth.mean()) / worth.std(), jnp.float32),
  )


@pytest.mark.slow
def test_it_is_symmetric_positive_and_one_of_a_choice_with_itself():
  options, _ = measured(80)
  alike, noise = learned_kernel.covariances(EMBEDDING, kernels(), options)
  for own in np.asarray(alike, np.float64):
    np.testing.assert_allclose(own, own.T, atol=1e-6)
    np.testing.assert_allclose(np.diag(own), 1.0, atol=1e-5)
    assert np.linalg.eigvalsh(own).min() > -1e-5
    assert np.all(own > 0)
  assert np.all(noise > 0)
  # Each kernel is its own.
  assert np.max(np.abs(alike[0] - alike[1])) > 0.1


def test_the_covariance_is_that_of_distances_in_the_space_and_positive():
  random = np.random.default_rng(0)
  x = random.normal(size=(9, 3)).astype(np.float32)
  x /= np.linalg.norm(x, axis=1, keepdims=True)
  ours = learned_kernel.covariance(x[:4], x[4:], jnp.float32(0.7))
  squared = np.sum((x[:4, None] - x[None, 4:]) ** 2, axis=-1)
  np.testing.assert_allclose(ours, np.exp(-squared / (2 * 0.7**2)), rtol=1e-5)
  own = learned_kernel.covariance(x, x, jnp.float32(0.7))
  assert np.linalg.eigvalsh(own).min() > -1e-6


@pytest.mark.slow
def test_the_loss_is_that_of_leaving_each_out_in_turn():
  options, worth = measured(80)
  params = jax.tree.map(lambda leaf: leaf[0], kernels().params)
  alike, noise = learned_kernel.covariances(EMBEDDING, kernels(), options)
  # The others only fill the arrays, and say nothing.
  full = np.asarray(alike[0], np.float64)[:30, :30] + float(noise[0]) * np.eye(30)
  parts = []
  for left_out in range(30):
    others = np.delete(np.arange(30), left_out)
    weights = np.linalg.solve(full[np.ix_(others, others)], full[others, left_out])
    variance = full[left_out, left_out] - weights @ full[others, left_out]
    away = worth[left_out] - weights @ np.asarray(worth)[others]
    parts.append(0.5 * (np.log(variance) + away**2 / variance))
  of = jax.jit(functools.partial(learned_kernel.loss, EMBEDDING))
  ours = of(params, options, worth, jnp.arange(80) < 30)
  assert ours == pytest.approx(np.mean(parts), rel=1e-3)


@pytest.mark.slow
def test_learning_lowers_the_loss_and_orders_what_was_never_measured():
  options, worth = measured(40)
  both = [jnp.stack([x, x]) for x in (options, worth, jnp.ones(40, bool))]
  after, losses = learned_kernel.learned(EMBEDDING, RATE, 80, kernels(), *both)
  assert np.all(losses[:, -1] < losses[:, 0] - 0.5)
  unseen, theirs = measured(40, seed=1)
  errors = []
  for own in (kernels(), after):
    alike, noise = learned_kernel.covariances(
      EMBEDDING, own, jnp.concatenate([options, unseen])
    )
    inside, across = alike[:, :40, :40], alike[:, 40:, :40]
    full = np.asarray(inside) + np.asarray(noise)[:, None, None] * np.eye(40)[None]
    mean = across @ np.linalg.solve(full, np.asarray(both[1])[..., None])
    errors.append(np.mean((mean[..., 0] - theirs[None]) ** 2, axis=1))
  assert np.all(errors[1] < 0.5 * errors[0])
