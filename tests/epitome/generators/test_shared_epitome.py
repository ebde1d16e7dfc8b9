"""The shared epitome against its definition, and how a network shares it."""

import collections
import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import traverse_util
from hypothesis import given
from hypothesis import strategies as st

from neural_epitome import models
from neural_epitome.cost import inventory
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import SharedEpitome, SharedEpitomeRule
from neural_epitome.models.mobilenet_v2 import MBCONV
from neural_epitome.planning import RatePlanner

SHAPE = (28, 28, 1)


@pytest.mark.slow
@given(
  st.integers(1, 60),
  st.integers(0, 59),
  st.integers(1, 50),
  st.sampled_from([(3, 2, 5, 7), (4, 6, 3), (13, 11), (1, 1)]),
)
def test_each_weight_is_the_number_that_the_definition_names(
  length, start, block, shape
):
  generator = SharedEpitome(length, start % length, block)
  drawn = np.random.default_rng(0)
  tensors = {
    role: drawn.standard_normal(size).astype(np.float32)
    for role, size in generator.tensors(shape).items()
  }
  kernel = generator.generate(jax.tree.map(jnp.asarray, tensors), {}, shape)
  expected = [
    tensors["scale"][i // block] * tensors["epitome"][(start % length + i) % length]
    for i in range(math.prod(shape))
  ]
  np.testing.assert_array_equal(kernel, np.reshape(expected, shape))


def share(config, rate):
  listing = inventory.take(models.create(config, 10), SHAPE)
  plan = RatePlanner(rate=rate, rule=SharedEpitomeRule(block=512)).plan(listing)
  return listing, plan


def test_every_number_is_read_equally_often():
  listing, plan = share(models.ResNetConfig(depth=8), 16.0)
  reads = collections.Counter()
  for use in listing.kernels:
    generator = plan.kernels[use.path].generator
    if isinstance(generator, SharedEpitome):
      at = (generator.start + np.arange(use.size)) % generator.length
      reads.update(at.tolist())
  assert len(reads) == plan.tensors["shared_epitome"].shape[0]
  assert max(reads.values()) - min(reads.values()) == 1


def test_no_rows_of_a_kernel_come_back_in_step():
  listing, plan = share(models.ResNetConfig(depth=8), 16.0)
  [length] = plan.tensors["shared_epitome"].shape
  for use in listing.kernels:
    if isinstance(plan.kernels[use.path].generator, SharedEpitome):
      assert math.gcd(length, use.shape[-1]) == 1


@pytest.mark.slow
def test_its_gradient_is_the_sum_over_all_layers():
  config = dataclasses.replace(MBCONV, stages=((2, 16, 1),), stage_strides=(2,))
  listing, shared = share(config, 8.0)
  generators = {path: shared.kernels[path].generator for path in shared.compressed}
  alone = plans.make(listing.kernels, generators)
  x = jax.random.normal(jax.random.key(0), (4, *SHAPE))
  variables = models.create(config, 10, plan=shared).init(jax.random.key(1), x)
  params = dict(variables["params"])
  epitome = params.pop("shared_epitome")
  # The same network with a copy of the epitome in every layer.
  flat = traverse_util.flatten_dict(params, sep="/")
  copies = [alone.kernels[path].tensors["epitome"] for path in shared.compressed]
  flat |= dict.fromkeys(copies, epitome)

  def gradient(plan, params):
    model = models.create(config, 10, plan=plan)

    def loss(params):
      logits, _ = model.apply(
        variables | {"params": params}, x, train=True, mutable=["batch_stats"]
      )
      return jnp.sum(jnp.sin(logits))

    return jax.jit(jax.grad(loss))(params)

  together = gradient(shared, params | {"shared_epitome": epitome})["shared_epitome"]
  gradients = gradient(alone, traverse_util.unflatten_dict(flat, sep="/"))
  gradients = traverse_util.flatten_dict(gradients, sep="/")
  parts = np.stack([gradients[name] for name in copies])
  assert np.all(np.any(parts != 0, axis=1))
  np.testing.assert_allclose(together, parts.sum(0), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("fan_in", [9, 400])
def test_factors_bring_an_epitome_of_one_spread_to_the_variance_of_each_kernel(fan_in):
  generator, shape = SharedEpitome(5000, 17, 64), (fan_in, 200)
  tensors = generator.init(jax.random.key(0), shape, {}, nn.initializers.lecun_normal())
  assert np.std(tensors["epitome"]) == pytest.approx(0.1, rel=0.05)
  assert np.mean(tensors["scale"] > 0) == pytest.approx(0.5, abs=0.35)
  assert np.allclose(np.abs(tensors["scale"]), 10 / math.sqrt(fan_in), rtol=0.1)


def test_a_block_longer_than_the_kernel_costs_nothing():
  generator, shape = SharedEpitome(30, 4, block=10**9), (7, 9)
  tensors = generator.init(jax.random.key(0), shape, {}, nn.initializers.lecun_normal())
  compiled = (
    jax.jit(jax.grad(lambda tensors: generator.generate(tensors, {}, shape).sum()))
    .lower(tensors)
    .compile()
  )
  assert compiled.memory_analysis().temp_size_in_bytes < 10**5
