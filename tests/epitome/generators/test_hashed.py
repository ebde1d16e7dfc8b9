"""Hashed weights against the hash in plain integers."""

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.epitome.generators import Hashed


def reference(index, buckets, seed):
  """(bucket, sign) by the module's definition, in Python's own integers."""

  def mix(x):
    x ^= x >> 16
    x = x * 0x85EBCA6B % 2**32
    x ^= x >> 13
    x = x * 0xC2B2AE35 % 2**32
    return x ^ x >> 16

  hashed = mix((index + 0x9E3779B9 * seed) % 2**32)
  return hashed % buckets, 1 - 2 * (mix(hashed ^ 0x5BD1E995) % 2)


def test_each_weight_is_the_one_the_hash_says():
  shape, buckets, seed = (3, 3, 5, 11), 37, 4_000_000_001
  weights = np.random.default_rng(0).standard_normal(buckets).astype(np.float32)
  generator = Hashed(buckets, seed)
  kernel = generator.generate({"weights": jnp.asarray(weights)}, {}, shape)
  expected = [
    sign * weights[bucket]
    for bucket, sign in (reference(i, buckets, seed) for i in range(np.prod(shape)))
  ]
  np.testing.assert_array_equal(np.asarray(kernel).reshape(-1), expected)


def test_the_gradient_gathers_every_use_of_a_weight():
  shape, generator = (8, 9), Hashed(5, 1)
  cotangent = np.random.default_rng(0).standard_normal(shape).astype(np.float32)

  def weighted(weights):
    return jnp.sum(generator.generate({"weights": weights}, {}, shape) * cotangent)

  gradient = jax.grad(weighted)(jnp.ones(5))
  expected = np.zeros(5)
  for index, value in enumerate(cotangent.reshape(-1)):
    bucket, sign = reference(index, 5, 1)
    expected[bucket] += sign * value
  np.testing.assert_allclose(gradient, expected, rtol=1e-5)


def test_buckets_and_signs_are_even_and_seeds_are_independent():
  buckets, size = 64, 64 * 400
  first, second = (
    np.array([reference(i, buckets, seed) for i in range(size)]) for seed in (0, 1)
  )
  counts = np.bincount(first[:, 0], minlength=buckets)
  # Chi-square of 63 degrees of freedom: mean 63, deviation 11.
  assert abs(((counts - 400) ** 2 / 400).sum() - 63) < 45
  assert abs(first[:, 1].mean()) < 4 / size**0.5
  same = (first[:, 0] == second[:, 0]).mean()
  assert abs(same - 1 / buckets) < 4 * (1 / buckets / size) ** 0.5
