"""What holds of every backbone: input sizes, batch independence, keyed noise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome import codec, models
from neural_epitome.epitome.layers import EpitomeConv, EpitomeDense
from neural_epitome.errors import UserError
from neural_epitome.models.normalization import BatchNorm

CONFIGS = {
  "mobilenet_v2": models.MobileNetV2Config(width=0.25, depth=0.5),
  "efficientnet": models.EfficientNetConfig(
    width=0.25, depth=0.3, grouped_se=True, classifier_groups=2
  ),
  "resnet20": models.ResNetConfig(dropout=0.2),
  "resnet50": models.ResNetConfig(
    depth=50, width=0.125, stem_stride=1, pool_stride=1, dropout=0.2
  ),
  "vision_transformer": models.VisionTransformerConfig(
    patch=7, depth=2, embedding=24, drop_path=0.2
  ),
}
# Its positions are of one size.
OF_ONE_SIZE = {"vision_transformer"}


def images(batch, size, channels=3):
  values = np.random.default_rng(0).standard_normal((batch, size, size, channels))
  return jnp.asarray(values.astype(np.float32))


def random_variables(module):
  """As after some training: no batch norm is the identity. Nothing is compiled."""
  generator = np.random.default_rng(1)
  shapes = jax.eval_shape(module.init, jax.random.key(0), images(1, 28))

  def draw(path, leaf):
    if path[-1].key == "kernel":
      values = generator.standard_normal(leaf.shape)
      values *= (2 / np.prod(leaf.shape[:-1])) ** 0.5
    else:
      low, high = {"scale": (0.5, 1.5), "var": (0.5, 1.5)}.get(
        path[-1].key, (-0.2, 0.2)
      )
      values = generator.uniform(low, high, leaf.shape)
    return jnp.asarray(values.astype(np.float32))

  return jax.tree_util.tree_map_with_path(draw, shapes)


@pytest.fixture(scope="module", params=sorted(CONFIGS))
def network(request):
  module = models.create(CONFIGS[request.param], 10)
  return module, random_variables(module)


@pytest.mark.slow
def test_evaluation_of_a_batch_is_that_of_its_images(network):
  module, variables = network
  batch = images(4, 28)
  together = jax.jit(module.apply)(variables, batch)
  alone = jax.jit(module.apply)
  each = jnp.concatenate([alone(variables, batch[i : i + 1]) for i in range(4)])
  assert together.dtype == jnp.float32
  np.testing.assert_allclose(together, each, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CONFIGS.keys() - OF_ONE_SIZE))
def test_any_image_size_from_28_up(name):
  module = models.create(CONFIGS[name], 10)
  variables = random_variables(module)
  for size in (28, 33, 224):
    logits = jax.eval_shape(module.apply, variables, images(2, size))
    assert logits.shape == (2, 10)


@pytest.mark.slow
def test_training_updates_statistics_and_reaches_every_parameter(network):
  module, variables = network
  batch = images(4, 28)
  keys = jax.random.split(jax.random.key(2), 4)

  @jax.jit
  def step(params):
    def loss(params):
      logits, updated = module.apply(
        {**variables, "params": params},
        batch,
        train=True,
        keys=keys,
        mutable=["batch_stats"],
      )
      return jnp.sum(logits**2), updated.get("batch_stats", {})

    return jax.grad(loss, has_aux=True)(params)

  gradients, stats = step(variables["params"])
  for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
    assert np.all(np.isfinite(gradient)), path
    assert np.any(gradient != 0), path
  before = variables.get("batch_stats", {})
  moved = jax.tree.map(lambda a, b: np.any(a != b), stats, before)
  assert all(jax.tree.leaves(moved))


@pytest.mark.slow
def test_noise_of_an_example_depends_on_its_key_alone():
  config = models.EfficientNetConfig(width=0.25, depth=0.3, drop_path=0.8)
  module = models.create(config, 10)
  batch = images(3, 28)
  keys = jax.random.split(jax.random.key(0), 3)
  variables = random_variables(module)

  @jax.jit
  def noisy(batch, keys):
    return module.apply(
      variables, batch, train=True, keys=keys, mutable=["batch_stats"]
    )[0]

  first = noisy(batch, keys)
  np.testing.assert_array_equal(first, noisy(batch, keys))
  order = jnp.array([2, 0, 1])
  permuted = noisy(batch[order], keys[order])
  np.testing.assert_allclose(permuted, first[order], rtol=1e-3, atol=1e-4)
  assert np.abs(np.asarray(noisy(batch, keys[order]) - first)).max() > 1e-3


@pytest.mark.slow
def test_train_without_keys_names_what_is_missing():
  module = models.create(models.MobileNetV2Config(width=0.25), 10)

  def train(variables):
    return module.apply(variables, images(1, 28), train=True, mutable=["batch_stats"])

  with pytest.raises(ValueError, match="keys"):
    jax.eval_shape(train, random_variables(module))


@pytest.mark.slow
def test_half_precision_gives_float32_logits_close_to_full(network):
  module, variables = network
  shared = {"dtype": jnp.bfloat16}
  layers = models.Layers(
    conv=lambda features, kernel_size, **rest: EpitomeConv(
      features,
      kernel_size,
      **{"padding": models.base.symmetric_padding(kernel_size), "use_bias": False}
      | rest
      | shared,
    ),
    dense=lambda features, **rest: EpitomeDense(features=features, **rest, **shared),
    norm=functools.partial(BatchNorm, **shared),
  )
  half = module.config.build(10, layers)
  full = np.asarray(jax.jit(module.apply)(variables, images(2, 28)))
  low = jax.jit(half.apply)(variables, images(2, 28))
  assert low.dtype == jnp.float32
  np.testing.assert_allclose(low, full, atol=0.1 * np.abs(full).max())


@pytest.mark.parametrize("config", CONFIGS.values())
def test_configuration_survives_json(config):
  assert codec.decode(models.ModelConfig, codec.encode(config)) == config


@pytest.mark.parametrize(
  ("config", "field"),
  [
    (models.MobileNetV2Config(stage_strides=(1, 2)), "stage_strides"),
    (models.ResNetConfig(stage_strides=(1, 2, 0)), "stage_strides"),
    (models.EfficientNetConfig(classifier_groups=3), "classifier_groups"),
    (models.VisionTransformerConfig(heads=5), r"model\.heads=5 must divide .*=192"),
    (models.VisionTransformerConfig(mlp_ratio=0.001), "mlp_ratio"),
  ],
)
def test_bad_arguments_are_named(config, field):
  with pytest.raises(UserError, match=field):
    models.create(config, 10)
