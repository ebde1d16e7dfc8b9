"""SoundNet: the published chain, pooling by halving, signals of any length."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from neural_epitome import codec, models
from neural_epitome.cost import inventory
from neural_epitome.errors import UserError
from neural_epitome.models import soundnet

SHORT = models.SoundNetConfig(
  channels=(3, 5),
  windows=(8, 4),
  strides=(2, 2),
  pools=(4, 1),
  divisor=1,
)


def _signals(batch, samples, channels=1):
  values = np.random.default_rng(0).standard_normal((batch, samples, channels))
  return jnp.asarray(values.astype(np.float32))


def _random(shapes, seed=1):
  generator = np.random.default_rng(seed)

  def draw(path, leaf):
    if path[-1].key in ("scale", "var"):
      return generator.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
    fan_in = np.prod(leaf.shape[:-1]) if len(leaf.shape) > 1 else 4.0
    return (generator.standard_normal(leaf.shape) / fan_in**0.5).astype(np.float32)

  return jax.tree_util.tree_map_with_path(draw, shapes)


def test_soundnet8_has_the_published_kernels_and_places():
  module = models.create(models.SoundNetConfig(), 50)
  taken = inventory.take(module, (64000, 1))
  published = [
    (64, 1, 16),
    (32, 16, 32),
    (16, 32, 64),
    (8, 64, 128),
    (4, 128, 256),
    (4, 256, 512),
    (4, 512, 1024),
    (1024, 50),
  ]
  assert [use.shape for use in taken.kernels] == published
  places = [use.output_size for use in taken.kernels[:-1]]
  # 64,000 samples; each stride halves (and adds one where a window is even), and the
  # pools divide by 8, 8 and 4.
  assert places == [(32001,), (2001,), (126,), (64,), (33,), (5,), (3,)]
  norms = sum(2 * shape[-1] for shape in published[:-1])
  weights = sum(int(np.prod(shape)) for shape in published)
  assert taken.size == weights + norms + 50 == 2_923_538


def test_the_small_sibling_is_small():
  taken = inventory.take(models.create(soundnet.SMALL, 11), (8192, 1))
  assert 100_000 < taken.size < 400_000
  assert sum(use.madds for use in taken.kernels) < 10e6


@pytest.mark.slow
@pytest.mark.parametrize("samples", [40, 61])
def test_logits_equal_a_plain_torch_chain(samples):
  torch = pytest.importorskip("torch")
  module = models.create(SHORT, 7)
  x = _signals(2, samples)
  variables = _random(jax.eval_shape(module.init, jax.random.key(0), x))
  logits = module.apply(variables, x)

  def tensor(path):
    leaf = variables
    for name in path.split("/"):
      leaf = leaf[name]
    return torch.from_numpy(np.array(leaf))

  functional, y = torch.nn.functional, torch.from_numpy(np.array(x)).permute(0, 2, 1)
  for number, (window, stride, pool) in enumerate(((8, 2, 4), (4, 2, 1)), 1):
    kernel = tensor(f"params/conv_{number}/kernel").permute(2, 1, 0)
    y = functional.conv1d(y, kernel, stride=stride, padding=window // 2)
    y = functional.batch_norm(
      y,
      tensor(f"batch_stats/norm_{number}/mean"),
      tensor(f"batch_stats/norm_{number}/var"),
      tensor(f"params/norm_{number}/scale"),
      tensor(f"params/norm_{number}/bias"),
      eps=1e-5,
    )
    y = functional.max_pool1d(functional.relu(y), pool)
  expected = y.mean(2) @ tensor("params/classifier/kernel")
  expected = expected + tensor("params/classifier/bias")
  np.testing.assert_allclose(logits, expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("window", [1, 2, 3, 8])
def test_pooling_by_halving_is_flaxs_and_so_is_its_gradient(window):
  x = _signals(2, 25, 3)

  def ours(x):
    return soundnet.max_pool(x, window)

  def flaxs(x):
    return nn.max_pool(x, (window,), strides=(window,))

  np.testing.assert_array_equal(ours(x), flaxs(x))
  ours_gradient, flaxs_gradient = (
    jax.jit(jax.grad(lambda x, f=f: jnp.sum(jnp.sin(f(x)))))(x) for f in (ours, flaxs)
  )
  np.testing.assert_allclose(ours_gradient, flaxs_gradient, atol=1e-7)


def test_of_equal_samples_one_takes_the_gradient():
  pooled = jax.jit(jax.grad(lambda x: jnp.sum(soundnet.max_pool(x, 4))))
  gradient = pooled(jnp.zeros((2, 9, 3)))
  assert gradient.shape == (2, 9, 3)
  np.testing.assert_array_equal(gradient.sum(1), np.full((2, 3), 2.0))
  np.testing.assert_array_equal(np.unique(gradient), [0.0, 1.0])


@pytest.mark.slow
def test_gradients_are_finite_behind_batch_norm():
  # Where XLA computes activations anew with other roundings, as it does here, a
  # gradient that looks for the samples equal to the maximum finds none.
  module = models.create(soundnet.SMALL, 3)
  x = _signals(2, 8192)
  variables = jax.jit(module.init)(jax.random.key(0), x)

  def loss(params):
    logits, _ = module.apply(
      variables | {"params": params}, x, train=True, mutable=["batch_stats"]
    )
    return jnp.mean(jnp.square(logits))

  for leaf in jax.tree.leaves(jax.jit(jax.grad(loss))(variables["params"])):
    assert np.isfinite(leaf).all()


def test_width_scales_every_layer_but_the_classifier():
  half = inventory.take(models.create(models.SoundNetConfig(width=0.5), 50), (64000, 1))
  assert [use.shape[-1] for use in half.kernels] == [8, 16, 32, 64, 128, 256, 512, 50]


def test_narrowing_leaves_out_channels_of_one_layer_at_a_time():
  groups = SHORT.channel_groups()
  assert [group.name for group in groups] == ["conv_1", "conv_2"]
  module = models.create(SHORT, 7)
  taken = {use.path: use.shape for use in inventory.take(module, (40, 1)).kernels}
  for group, count in itertools.product(groups, (1, 2)):
    narrow = models.create(SHORT.narrowed({group.name: count}), 7)
    for use in inventory.take(narrow, (40, 1)).kernels:
      expected = list(taken[use.path])
      if use.path in group.members:
        expected[group.members[use.path]] = count
      assert use.shape == tuple(expected)
    assert group.consumer in group.members
    assert group.members[group.consumer] == -2


def test_the_configuration_survives_json():
  for config in (models.SoundNetConfig(), soundnet.SMALL):
    assert codec.decode(models.ModelConfig, codec.encode(config)) == config


def test_dropout_follows_the_examples_key():
  module = models.create(dataclasses.replace(SHORT, dropout=0.5), 7)
  x, keys = _signals(4, 40), jax.random.split(jax.random.key(3), 4)
  variables = _random(jax.eval_shape(module.init, jax.random.key(0), x))

  @jax.jit
  def logits(rows):
    return module.apply(
      variables, x, train=True, keys=keys[rows], mutable=["batch_stats"]
    )[0]

  forward, backward = logits(jnp.arange(4)), logits(jnp.arange(4)[::-1])
  assert not np.allclose(forward, backward)
  np.testing.assert_array_equal(forward, logits(jnp.arange(4)))


@pytest.mark.parametrize(
  ("changes", "shape", "words"),
  [
    ({}, (16, 16, 1), "must be SignalOptions"),
    ({"pools": (40, 1)}, (40, 1), "raise config.data.length"),
    ({"pools": (1,)}, (40, 1), r"pools=\[1\] must be 2 positive"),
    ({"strides": (0, 2)}, (40, 1), r"strides=\[0, 2\]"),
    ({"divisor": 0}, (40, 1), "divisor=0"),
  ],
)
def test_networks_that_cannot_be_are_refused(changes, shape, words):
  config = dataclasses.replace(SHORT, **changes)
  with pytest.raises(UserError, match=words):
    inventory.take(models.create(config, 7), shape)
