"""NNX layers compute what the Linen layers do, and train what is stored."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from neural_epitome.epitome import layers, nnx_layers
from neural_epitome.epitome.generators import ChannelEpitome, Dense, Epitome
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.errors import UserError

RANDOM = IndexOptions(source="fixed", start="random")
GENERATORS = [Dense(), Epitome((3, 3, 4, 5)), ChannelEpitome(4)]


@pytest.mark.slow
@pytest.mark.parametrize("generator", GENERATORS, ids=lambda g: g.kind)
@pytest.mark.parametrize("execution", ["materialise", "fold"])
def test_a_convolution_is_that_of_linen(generator, execution):
  x = jax.random.normal(jax.random.key(0), (2, 9, 9, 8))
  options = {
    "strides": 2,
    "padding": 1,
    "generator": generator,
    "execution": execution,
    "indices": RANDOM,
  }
  layer = nnx_layers.EpitomeConv(8, 12, (3, 3), rngs=nnx.Rngs(0), **options)
  linen = layers.EpitomeConv(features=12, kernel_size=(3, 3), **options)
  params = {role: tensor[...] for role, tensor in layer.tensors.items()}
  axes = {axis: offset[...] for axis, offset in layer.offsets.items()}
  variables = {
    "params": params | {"bias": layer.bias[...]},
    "routing": {"map": axes, "weight": jnp.float32(0), "frozen": jnp.array(False)},
  }
  np.testing.assert_allclose(layer(x), linen.apply(variables, x), atol=1e-5)
  assert layer.kernel().shape == (3, 3, 8, 12)


@pytest.mark.slow
def test_a_dense_layer_trains_its_epitome_and_leaves_fixed_offsets():
  random = np.random.default_rng(0)
  x, y = (jnp.asarray(random.normal(size=(32, n)), jnp.float32) for n in (16, 24))
  generator = Epitome((8, 24))
  for source, learns in (("fixed", False), ("free", True)):
    layer = nnx_layers.EpitomeLinear(
      16, 24, generator=generator, indices=IndexOptions(source=source), rngs=nnx.Rngs(0)
    )
    before = layer.offsets["input"][...]
    optimizer = nnx.Optimizer(layer, optax.sgd(0.3), wrt=nnx.Param)

    @nnx.jit
    def step(layer, optimizer):
      def loss(layer):
        return jnp.mean((layer(x) - y) ** 2)

      value, gradients = nnx.value_and_grad(loss)(layer)
      optimizer.update(layer, gradients)
      return value

    losses = [float(step(layer, optimizer)) for _ in range(5)]
    assert losses[-1] < losses[0]
    assert bool(jnp.any(layer.offsets["input"][...] != before)) == learns
  stored = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(layer)))
  assert stored == generator.stored((16, 24)) + 24


def test_half_precision_and_no_bias_are_as_asked():
  layer = nnx_layers.EpitomeLinear(
    8, 6, use_bias=False, dtype=jnp.bfloat16, rngs=nnx.Rngs(0)
  )
  assert layer(jnp.ones((2, 8))).dtype == jnp.bfloat16
  assert layer.bias is None


def test_a_learner_is_refused():
  with pytest.raises(UserError, match="fixed or free"):
    nnx_layers.EpitomeLinear(4, 4, indices=IndexOptions(), rngs=nnx.Rngs(0))
