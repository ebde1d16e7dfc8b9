"""Variants of MobileNetV2: exact channels, and the twin of a tiled network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome import models
from neural_epitome.cost import inventory
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import Epitome
from neural_epitome.errors import UserError
from neural_epitome.models.mobilenet_v2 import MBCONV

SMALL = models.MobileNetV2Config(
  stages=((4, 16, 2),), stage_strides=(1,), stem=16, head=32, head_shrinks=True
)
IMAGES = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))


def draw(shapes):
  generator = np.random.default_rng(0)
  return jax.tree.map(
    lambda leaf: jnp.asarray(generator.uniform(0.3, 0.9, leaf.shape), jnp.float32),
    shapes,
  )


@pytest.mark.slow
@pytest.mark.parametrize("rate", [2, 4])
def test_a_depth_multiplier_is_a_tile_whose_copies_share_the_expansions_norm(rate):
  twin = models.MobileNetV2Config(**vars(SMALL) | {"depth_multiplier": rate})
  uses = inventory.take(models.create(SMALL, 10), (8, 8, 1)).kernels
  tiles = {}
  for use in uses:
    *window, inputs, outputs = use.shape
    if "expand" in use.path:
      tiles[use.path] = Epitome((*window, inputs, outputs // rate), "tile")
    elif "project" in use.path:
      tiles[use.path] = Epitome((*window, inputs // rate, outputs), "tile")
  tiled = models.create(SMALL, 10, plan=plans.make(uses, tiles))
  module = models.create(twin, 10)
  ours = draw(jax.eval_shape(module.init, jax.random.key(0), IMAGES))

  def interleaved(leaf):
    # A tile puts the copies of a channel a whole epitome apart, the twin side by side.
    return jnp.moveaxis(leaf.reshape(*leaf.shape[:-1], -1, rate), -1, -2).reshape(
      leaf.shape
    )

  theirs = jax.tree.map(lambda leaf: leaf, ours)
  for name in ("block_0", "block_1"):
    for collection in ("params", "batch_stats"):
      block = theirs[collection][name]
      block["expand_norm"] = {
        key: jnp.tile(value, rate) for key, value in block["expand_norm"].items()
      }
      block["depthwise_norm"] = jax.tree.map(interleaved, block["depthwise_norm"])
    block = theirs["params"][name]
    block["depthwise"] = jax.tree.map(interleaved, block["depthwise"])
    for part in ("expand", "project"):
      block[part] = {"epitome": block[part]["kernel"]}
  shapes = jax.eval_shape(tiled.init, jax.random.key(0), IMAGES)
  assert jax.tree.map(jnp.shape, theirs) == jax.tree.map(
    jnp.shape, {name: shapes[name] for name in theirs}
  )
  logits = module.apply(ours, IMAGES)
  np.testing.assert_allclose(logits, tiled.apply(theirs, IMAGES), rtol=1e-4)
  # What the tiled network has more is the affine of the copies.
  more = sum(jnp.size(leaf) for leaf in jax.tree.leaves(theirs["params"]))
  less = sum(jnp.size(leaf) for leaf in jax.tree.leaves(ours["params"]))
  assert more - less == 2 * 2 * 64 * (rate - 1) // rate


def test_without_the_sum_the_projection_reads_every_channel():
  config = models.MobileNetV2Config(
    **vars(SMALL) | {"depth_multiplier": 2, "sums_multiplied": False}
  )
  uses = inventory.take(models.create(config, 10), (8, 8, 1)).kernels
  shapes = {use.path: use.shape for use in uses}
  assert shapes["block_0/expand/kernel"] == (1, 1, 16, 32)
  assert shapes["block_0/depthwise/kernel"] == (3, 3, 1, 64)
  assert shapes["block_0/project/kernel"] == (1, 1, 64, 16)


def test_inner_channels_are_taken_as_they_are():
  config = models.MobileNetV2Config(**vars(SMALL) | {"inner": (13, 21, 9)})
  uses = inventory.take(models.create(config, 10), (8, 8, 1)).kernels
  shapes = {use.path: use.shape for use in uses}
  assert shapes["block_0/expand/kernel"] == (1, 1, 16, 13)
  assert shapes["block_1/project/kernel"] == (1, 1, 21, 16)
  assert shapes["classifier/kernel"] == (9, 10)
  resnet = models.ResNetConfig(depth=8, inner=(5, 6, 7))
  uses = inventory.take(models.create(resnet, 10), (8, 8, 1)).kernels
  shapes = {use.path: use.shape for use in uses}
  assert shapes["block_1/conv_1/kernel"] == (3, 3, 16, 6)
  assert shapes["block_1/conv_2/kernel"] == (3, 3, 6, 32)


@pytest.mark.parametrize(
  ("changes", "words"),
  [
    ({"inner": (8, 8)}, "model.inner"),
    ({"inner": (8, 8, 0)}, "model.inner"),
    ({"stages": ((1, 16, 1),), "inner": (8, 8)}, "block_0 has no expansion"),
    ({"stages": ((1, 0, 1),)}, "model.stages"),
    ({"depth_multiplier": 0}, "depth_multiplier"),
    ({"divisor": 0}, "divisor"),
  ],
)
def test_channels_that_make_no_network_are_refused(changes, words):
  with pytest.raises(UserError, match=words):
    models.create(models.MobileNetV2Config(**vars(SMALL) | changes), 10)


def test_the_small_backbone_is_five_blocks_of_mostly_1x1_kernels():
  listing = inventory.take(models.create(MBCONV, 10), (28, 28, 1))
  pointwise = sum(
    use.size for use in listing.kernels if use.kernel_size in ((1, 1), ())
  )
  assert 150_000 < listing.size < 250_000
  assert pointwise > 0.85 * listing.size
  assert len(MBCONV.residuals()) == 5
