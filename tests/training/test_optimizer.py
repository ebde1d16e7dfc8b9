"""Update rules, schedules and masks against constants worked out by hand."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from neural_epitome.config import OptimizerOptions
from neural_epitome.training import optimizer

FLAT = OptimizerOptions(
  schedule="constant", warmup_epochs=0.0, weight_decay=0.0, learning_rate=0.1
)


def build(options, total_steps=100, steps_per_epoch=10.0):
  return optimizer.create(
    options, total_steps=total_steps, steps_per_epoch=steps_per_epoch
  )


def apply(options, params, gradients, **counts):
  transform, _ = build(options, **counts)
  opt_state = transform.init(params)
  for gradient in gradients:
    updates, opt_state = transform.update(gradient, opt_state, params)
    params = optax.apply_updates(params, updates)
  return params


def scalar(*values):
  return [{"w": jnp.full((1, 1), value, jnp.float32)} for value in values]


def test_rmsprop_is_the_tensorflow_form():
  options = dataclasses.replace(
    FLAT, name="rmsprop", decay=0.9, momentum=0.9, epsilon=1e-3
  )
  # The mean square starts at 1 and epsilon is inside the root; momentum gathers
  # updates already scaled by the learning rate.
  first = 0.1 * 2.0 / math.sqrt(0.9 * 1.0 + 0.1 * 4.0 + 1e-3)
  mean_square = 0.9 * 1.3 + 0.1 * 1.0
  second = 0.9 * first + 0.1 * 1.0 / math.sqrt(mean_square + 1e-3)
  (start,) = scalar(5.0)
  weight = apply(options, start, scalar(2.0, 1.0))["w"]
  np.testing.assert_allclose(weight, 5.0 - first - second, rtol=1e-6)


def test_sgd_with_momentum_and_coupled_weight_decay():
  options = dataclasses.replace(FLAT, name="sgd", momentum=0.5, weight_decay=0.01)
  first = 1.0 + 0.01 * 2.0
  at = 2.0 - 0.1 * first
  second = 0.5 * first + 1.0 + 0.01 * at
  weight = apply(options, *scalar(2.0), scalar(1.0, 1.0))["w"]
  np.testing.assert_allclose(weight, at - 0.1 * second, rtol=1e-6)


def test_adamw_first_step_is_the_rate_plus_decoupled_decay():
  options = dataclasses.replace(FLAT, name="adamw", weight_decay=0.01)
  weight = apply(options, *scalar(2.0), scalar(-0.3))["w"]
  np.testing.assert_allclose(weight, 2.0 + 0.1 - 0.1 * 0.01 * 2.0, rtol=1e-6)


@pytest.mark.slow
def test_weight_decay_leaves_out_scales_biases_indices_and_learners():
  params = {
    "conv": {
      "epitome": jnp.ones((1, 1, 2, 2)),
      "indices": jnp.ones((2, 2)),
      "index_learner": {"hidden": {"kernel": jnp.ones((2, 2))}},
      "scale": jnp.ones((2, 3)),
    },
    "hashed": {"weights": jnp.ones(3), "bias": jnp.ones(2)},
    "norm": {"scale": jnp.ones(2)},
    "shared_epitome": jnp.ones(5),
  }
  mask = optimizer.decay_mask(params)
  assert mask == {
    "conv": {
      "epitome": True,
      "indices": False,
      "index_learner": {"hidden": {"kernel": False}},
      "scale": False,
    },
    "hashed": {"weights": True, "bias": False},
    "norm": {"scale": False},
    "shared_epitome": True,
  }
  zero = jax.tree.map(jnp.zeros_like, params)
  for name in ("sgd", "rmsprop", "adamw"):
    options = dataclasses.replace(FLAT, name=name, weight_decay=0.1)
    moved = jax.tree.map(
      lambda new, old: bool(jnp.any(new != old)), apply(options, params, [zero]), params
    )
    assert moved == mask, name


def test_index_multiplier_scales_the_update_of_indices_only():
  params = {
    "a": {"indices": jnp.ones(2), "epitome": jnp.ones((2, 2))},
    "b": {"index_learner": {"bias": jnp.ones(2)}},
  }
  gradient = jax.tree.map(lambda value: jnp.full_like(value, 0.5), params)
  for name in ("sgd", "rmsprop", "adamw"):
    plain = dataclasses.replace(FLAT, name=name)
    faster = dataclasses.replace(plain, index_multiplier=10.0)
    one = apply(plain, params, [gradient, gradient])
    ten = apply(faster, params, [gradient, gradient])
    np.testing.assert_array_equal(one["a"]["epitome"], ten["a"]["epitome"])
    for slow, fast in (
      (one["a"]["indices"], ten["a"]["indices"]),
      (one["b"]["index_learner"]["bias"], ten["b"]["index_learner"]["bias"]),
    ):
      np.testing.assert_allclose(1.0 - fast, 10.0 * (1.0 - slow), rtol=1e-5)


def test_clipping_scales_by_the_global_norm():
  options = dataclasses.replace(FLAT, name="sgd", momentum=0.0, clip_norm=1.0)
  params = {"a": jnp.zeros(1), "b": jnp.zeros(1)}
  weights = apply(options, params, [{"a": jnp.full(1, 3.0), "b": jnp.full(1, 4.0)}])
  np.testing.assert_allclose(
    [weights["a"][0], weights["b"][0]], [-0.06, -0.08], rtol=1e-6
  )


def test_accumulation_averages_gradients_and_keeps_the_schedule_in_steps():
  options = dataclasses.replace(
    FLAT, name="sgd", momentum=0.0, accumulate=2, schedule="exponential"
  )
  options = dataclasses.replace(options, decay_epochs=0.2, decay_factor=0.5)
  # Two epochs' worth of decay a tenth: a factor of one half every 2 steps.
  gradients = scalar(1.0, 3.0, 1.0, 1.0, 5.0)
  weight = apply(options, *scalar(0.0), gradients)["w"]
  np.testing.assert_allclose(weight, -(0.1 * 2.0 + 0.05 * 1.0), rtol=1e-6)


def test_cosine_rises_over_the_warmup_and_ends_at_zero():
  options = dataclasses.replace(
    FLAT, schedule="cosine", warmup_epochs=2.0, warmup_start=1e-6
  )
  _, schedule = build(options)
  rates = [float(schedule(jnp.int32(step))) for step in (0, 10, 20, 60, 100)]
  expected = [1e-6, (0.1 + 1e-6) / 2, 0.1, 0.05, 0.0]
  np.testing.assert_allclose(rates, expected, atol=1e-7)


def test_exponential_is_a_staircase_counted_from_the_start_of_the_run():
  options = dataclasses.replace(
    FLAT, schedule="exponential", warmup_epochs=5.0, decay_epochs=3.0, decay_factor=0.97
  )
  _, schedule = build(options)
  rates = [float(schedule(jnp.int32(step))) for step in (50, 59, 60, 99)]
  expected = [0.1 * 0.97, 0.1 * 0.97, 0.1 * 0.97**2, 0.1 * 0.97**3]
  np.testing.assert_allclose(rates, expected, rtol=1e-6)


def test_a_warmup_longer_than_the_run_is_cut():
  options = dataclasses.replace(FLAT, schedule="cosine", warmup_epochs=50.0)
  _, schedule = build(options, total_steps=4)
  assert np.isfinite([float(schedule(jnp.int32(step))) for step in range(5)]).all()


def test_a_warmup_that_takes_all_of_the_run_is_said():
  options = dataclasses.replace(FLAT, warmup_epochs=5.0)
  assert "5 epochs is cut to the run's 2:" in optimizer.about_warmup(options, 2.0)
  assert not optimizer.about_warmup(options, 5.5)
  no_warmup = dataclasses.replace(FLAT, warmup_epochs=0.0)
  assert not optimizer.about_warmup(no_warmup, 0.5)
