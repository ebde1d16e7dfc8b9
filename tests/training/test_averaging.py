"""The moving average of weights against values worked out by hand."""

import jax.numpy as jnp
import numpy as np

from neural_epitome.training import averaging


def test_decay_warms_up_as_one_plus_t_over_ten_plus_t():
  decays = [
    float(averaging.effective_decay(0.9998, jnp.int32(t))) for t in (0, 8, 10**6)
  ]
  np.testing.assert_allclose(decays, [0.1, 0.5, 0.9998], rtol=1e-6)


def updated(step, freeze_step, average, value):
  routing = {"map": {"input": jnp.full(2, value)}, "frozen": jnp.array(True)}
  tree = {"w": jnp.full(2, value)}
  old = {"w": jnp.full(2, average)}
  old_routing = {"map": {"input": jnp.full(2, average)}, "frozen": jnp.array(False)}
  return averaging.update(
    {"params": old, "batch_stats": old, "routing": old_routing},
    tree,
    tree,
    routing,
    decay=0.5,
    step=jnp.int32(step),
    freeze_step=freeze_step,
  )


def test_weights_statistics_and_map_follow_with_one_decay():
  averaged = updated(step=0, freeze_step=10, average=2.0, value=12.0)
  # (1 + 0) / (10 + 0) = 0.1 of the old value.
  for value in (
    averaged["params"]["w"],
    averaged["batch_stats"]["w"],
    averaged["routing"]["map"]["input"],
  ):
    np.testing.assert_allclose(value, [11.0, 11.0], rtol=1e-6)
  averaged = updated(step=100, freeze_step=1000, average=2.0, value=12.0)
  np.testing.assert_allclose(averaged["params"]["w"], [7.0, 7.0], rtol=1e-6)


def test_from_the_freeze_on_the_map_is_the_frozen_map_itself():
  averaged = updated(step=10, freeze_step=10, average=2.0, value=0.3)
  np.testing.assert_array_equal(
    averaged["routing"]["map"]["input"], np.float32([0.3, 0.3])
  )
  assert bool(averaged["routing"]["frozen"])
  assert not np.array_equal(averaged["params"]["w"], np.float32([0.3, 0.3]))
