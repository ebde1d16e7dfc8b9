"""The inventory lists every kernel with its place, without running the network."""

import jax
import numpy as np
import pytest

from neural_epitome import models
from neural_epitome.cost import inventory

CONFIGS = [
  models.MobileNetV2Config(),
  models.EfficientNetConfig(),
  models.ResNetConfig(depth=20),
  models.ResNetConfig(depth=50),
]


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.kind}")
def test_sizes_add_up_to_the_parameters_of_the_network(config):
  module = models.create(config, 10)
  listing = inventory.take(module, (64, 64, 3))
  images = jax.ShapeDtypeStruct((1, 64, 64, 3), np.float32)
  params = jax.eval_shape(module.init, jax.random.key(0), images)["params"]
  assert listing.size == sum(np.prod(p.shape) for p in jax.tree.leaves(params))


def test_uses_carry_strides_groups_and_spatial_sizes():
  listing = inventory.take(models.create(models.MobileNetV2Config(), 10), (28, 28, 1))
  uses = {use.path: use for use in listing.kernels}
  stem = uses["stem/kernel"]
  assert (stem.shape, stem.strides) == ((3, 3, 1, 32), (2, 2))
  assert (stem.input_size, stem.output_size) == ((28, 28), (14, 14))
  depthwise = uses["block_1/depthwise/kernel"]
  assert depthwise.is_depthwise
  assert depthwise.feature_group_count == 96
  assert depthwise.madds == 9 * 96 * 7 * 7
  assert uses["classifier/kernel"].madds == 1280 * 10
