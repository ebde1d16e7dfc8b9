import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome.training import losses


def test_smoothed_labels_spread_the_mass_over_all_classes():
  labels = losses.smooth_labels(jnp.int32([1]), 4, 0.2)
  np.testing.assert_allclose(labels, [[0.05, 0.85, 0.05, 0.05]], rtol=1e-6)


def test_cross_entropy_of_even_logits_is_the_log_of_the_classes():
  targets = losses.smooth_labels(jnp.int32([0, 3]), 4, 0.1)
  loss = losses.cross_entropy(jnp.zeros((2, 4)), targets)
  np.testing.assert_allclose(loss, np.log(4.0), rtol=1e-6)


@pytest.mark.slow
def test_mixup_keeps_the_sum_of_each_pair_and_its_labels_follow():
  position = jnp.arange(6, dtype=jnp.uint32)
  mix = losses.mixup(0, 0.4, position)
  images = jax.random.normal(jax.random.key(0), (6, 5, 5, 1))
  targets = jax.nn.one_hot(jnp.arange(6), 6)
  mixed, labels = mix(images), mix(targets)

  def pairs(values):
    return values.reshape(3, 2, -1).sum(axis=1)

  np.testing.assert_allclose(pairs(mixed), pairs(images), atol=1e-6)
  for pair in range(3):
    share = labels[2 * pair, 2 * pair]
    expected = share * images[2 * pair] + (1 - share) * images[2 * pair + 1]
    np.testing.assert_allclose(mixed[2 * pair], expected, atol=1e-6)
  shares = np.diag(labels)
  assert len({f"{s:.5f}" for s in shares[::2]}) == 3, "one weight for all pairs"


@pytest.mark.slow
def test_mixup_depends_on_the_global_position_alone():
  position = jnp.arange(8, dtype=jnp.uint32)
  images = jax.random.normal(jax.random.key(0), (8, 3))
  whole = losses.mixup(3, 0.2, position)(images)
  halves = [
    losses.mixup(3, 0.2, position[h])(images[h]) for h in (slice(4), slice(4, 8))
  ]
  np.testing.assert_array_equal(whole, np.concatenate(halves))
  other = losses.mixup(4, 0.2, position)(images)
  assert not np.allclose(whole, other)


def test_mixup_weights_follow_the_beta_distribution():
  position = jnp.arange(40000, dtype=jnp.uint32)
  mix = losses.mixup(0, 0.2, position)
  weight = mix(jnp.tile(jnp.float32([1.0, 0.0]), 20000))[::2]
  # Beta(a, a): mean 1/2, variance 1 / (4 (2a + 1)).
  np.testing.assert_allclose(jnp.mean(weight), 0.5, atol=0.01)
  np.testing.assert_allclose(jnp.var(weight), 1 / (4 * 1.4), atol=0.003)
