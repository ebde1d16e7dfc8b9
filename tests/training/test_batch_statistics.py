"""Statistics worked out by hand, on a network that is one batch norm."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from neural_epitome.distributed import devices
from neural_epitome.training import batch_statistics

MOMENTUM = 0.9


class Normed(nn.Module):
  """Scales by a parameter, adds the routing map, normalises."""

  axis_name: str | None

  @nn.compact
  def __call__(self, images, train=False, keys=None):
    scale = self.param("scale", nn.initializers.ones, (1,))
    shift = self.variable("routing", "map", lambda: jnp.zeros(1))
    if self.is_mutable_collection("routing"):
      shift.value = shift.value + 1e6
    norm = nn.BatchNorm(
      use_running_average=not train, momentum=MOMENTUM, axis_name=self.axis_name
    )
    return norm(images * scale.reshape(1, 1, 1, 1) + shift.value.reshape(1, 1, 1, 1))


def variables(scale, shift):
  return {
    "params": {
      "scale": jnp.float32([scale]),
      "BatchNorm_0": {"scale": jnp.ones(1), "bias": jnp.zeros(1)},
    },
    "batch_stats": {"BatchNorm_0": {"mean": jnp.full(1, 7.0), "var": jnp.full(1, 7.0)}},
    "routing": {"map": jnp.float32([shift])},
  }


def batch(values):
  images = np.float32(values).reshape(-1, 1, 1, 1)
  return {"image": images, "position": np.arange(len(images), dtype=np.uint32)}


# On each of two devices: [0, 2] has variance 1, [4, 4] none; [10, 10] and [12, 12].
BATCHES = [batch([0, 2, 4, 4]), batch([10, 10, 12, 12])]
MEAN = (2.5 + 11.0) / 2


@pytest.mark.parametrize("axis_name", ["data", None])
def test_statistics_are_the_plain_means_over_batches(axis_name):
  mesh = devices.make_mesh()
  measure = batch_statistics.make_measure(Normed(axis_name), mesh, MOMENTUM, seed=0)
  weights = {"raw": variables(1.0, 0.0), "ema": variables(2.0, 5.0)}
  measured = batch_statistics.reestimate(measure, weights, BATCHES, mesh)
  variances = [
    np.mean([np.var(part) for part in parts])
    for parts in (
      ([[0, 2, 4, 4]], [[10, 10, 12, 12]])
      if axis_name
      else ([[0, 2], [4, 4]], [[10, 10], [12, 12]])
    )
  ]
  for name, scale, shift in (("raw", 1.0, 0.0), ("ema", 2.0, 5.0)):
    stats = measured[name]["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(stats["mean"], [scale * MEAN + shift], rtol=1e-5)
    expected = [scale**2 * np.mean(variances)]
    np.testing.assert_allclose(stats["var"], expected, rtol=1e-5)
    assert measured[name]["params"] is weights[name]["params"]
    np.testing.assert_array_equal(measured[name]["routing"]["map"], [np.float32(shift)])


def test_without_batches_nothing_changes():
  mesh = devices.make_mesh()
  measure = batch_statistics.make_measure(Normed("data"), mesh, MOMENTUM, seed=0)
  weights = {"raw": variables(1.0, 0.0)}
  assert batch_statistics.reestimate(measure, weights, [], mesh) == weights
