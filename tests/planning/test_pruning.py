"""Pruning keeps the strongest channels and computes what they computed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from neural_epitome import codec, models
from neural_epitome.cost import inventory
from neural_epitome.errors import UserError
from neural_epitome.planning import pruning

CONFIGS = {
  "mobilenet_v2": models.MobileNetV2Config(
    stages=((1, 16, 1), (4, 24, 2)), stage_strides=(1, 2), stem=16, head=64
  ),
  "resnet": models.ResNetConfig(depth=8),
}
SHAPE = (14, 14, 1)


def trained(config, shape=SHAPE):
  """Variables as after some training, all different."""
  module = models.create(config, 10)
  shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, *shape)))
  generator = np.random.default_rng(0)

  def draw(path, leaf):
    if path[-1].key == "var":
      return generator.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
    return generator.normal(0.1, 0.3, leaf.shape).astype(np.float32)

  return module, jax.tree_util.tree_map_with_path(draw, shapes)


def size(config, shape=SHAPE):
  return inventory.take(models.create(config, 10), shape).size


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.7, 0.5])
@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_the_pruned_network_is_the_trained_one_with_channels_masked(name, share):
  config = CONFIGS[name]
  module, variables = trained(config)
  target = int(share * size(config))
  narrow, sliced = pruning.prune(config, variables, target)
  assert abs(size(narrow) - target) <= 0.01 * target
  assert sum(leaf.size for leaf in jax.tree.leaves(sliced["params"])) == size(narrow)
  assert codec.decode(models.ModelConfig, codec.encode(narrow)) == narrow

  flat = traverse_util.flatten_dict(variables["params"], sep="/")
  stats = traverse_util.flatten_dict(variables["batch_stats"], sep="/")
  masked, groups = dict(flat), config.channel_groups()
  kept = pruning.select(groups, flat, stats, target, 8)
  for group in groups:
    mask = np.zeros(flat[group.consumer].shape[-2], np.float32)
    mask[kept[group.name]] = 1.0
    # Ranked by magnitude within a group, whatever the others are.
    values = pruning.magnitudes(group, flat, stats)
    if not mask.all():
      assert values[mask == 1].min() >= values[mask == 0].max()
    assert mask.sum() >= min(8, len(mask))
    shape = (1,) * (flat[group.consumer].ndim - 2) + (-1, 1)
    masked[group.consumer] = flat[group.consumer] * mask.reshape(shape)
  images = jax.random.normal(jax.random.key(1), (3, *SHAPE))
  expected = module.apply(
    variables | {"params": traverse_util.unflatten_dict(masked, sep="/")}, images
  )
  logits = models.create(narrow, 10).apply(sliced, images)
  np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
  assert np.abs(expected - module.apply(variables, images)).max() > 1e-2


def test_a_budget_is_met_within_one_percent_where_channels_are_few():
  # A channel of the last layers takes a percent of a small budget with it.
  config = models.SoundNetConfig(
    channels=(12, 12, 24, 96), windows=(8, 8, 8, 8), strides=(2,) * 4, pools=(1,) * 4
  )
  _, variables = trained(config, (512, 1))
  dense = size(config, (512, 1))
  for share in np.linspace(0.2, 0.95, 12):
    target = int(share * dense)
    narrow, _ = pruning.prune(config, variables, target)
    assert abs(size(narrow, (512, 1)) - target) <= 0.01 * target


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_the_narrowest_network_is_what_pruning_comes_to(name):
  config = CONFIGS[name]
  kernels = inventory.take(models.create(config, 10), SHAPE).kernels
  least = size(pruning.narrowest(config, kernels))
  narrow, _ = pruning.prune(config, trained(config)[1], least)
  assert size(narrow) == least
  with pytest.raises(UserError, match=f"comes to {least:,}"):
    pruning.prune(config, trained(config)[1], int(0.9 * least))


def test_a_channel_is_as_strong_as_what_it_adds_to_the_next_layer():
  config = CONFIGS["resnet"]
  _, variables = trained(config)
  params = traverse_util.flatten_dict(variables["params"], sep="/")
  stats = traverse_util.flatten_dict(variables["batch_stats"], sep="/")
  group = config.channel_groups()[0]
  magnitudes = pruning.magnitudes(group, params, stats)
  norm = params["block_0/norm_2/scale"] / np.sqrt(stats["block_0/norm_2/var"] + 1e-5)
  for channel in (0, 5):
    weights = params["block_0/conv_2/kernel"][:, :, channel, :] * norm
    gamma = params["block_0/norm_1/scale"][channel]
    expected = abs(gamma) * np.sqrt((weights**2).sum())
    assert magnitudes[channel] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
  ("config", "target", "words"),
  [
    (CONFIGS["resnet"], 5_000, r"pruned.*block_\d.*8 at least"),
    (models.ResNetConfig(depth=50), 10**6, "basic blocks"),
    (models.EfficientNetConfig(), 10**6, "efficientnet cannot be pruned"),
  ],
)
def test_what_cannot_be_pruned_says_why(config, target, words):
  variables = {"params": {}, "batch_stats": {}}
  if config == CONFIGS["resnet"]:
    _, variables = trained(config)
  with pytest.raises(UserError, match=words):
    pruning.prune(config, variables, target)


def test_a_network_of_epitomes_cannot_be_pruned():
  with pytest.raises(UserError, match="conv_1/kernel is not stored whole"):
    pruning.prune(CONFIGS["resnet"], {"params": {"stem": {"kernel": 1}}}, 1000)
