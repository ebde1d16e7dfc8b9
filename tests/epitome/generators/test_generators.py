"""What holds of every generator: where it starts, what it stores, how it trains."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from neural_epitome import codec
from neural_epitome.cost import inventory, totals
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome import plan_json, routing
from neural_epitome.epitome.generators import (
  Epitome,
  Hashed,
  LowRank,
  Rule,
  SharedEpitome,
  WSNet,
)
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.epitome.layers import EpitomeConv, EpitomeDense
from neural_epitome.errors import UserError
from tests.epitome.generators import examples

every = pytest.mark.parametrize(("kind", "name"), examples.CASES, ids=examples.NAMES)
# They start on whole cells, other ones for every replica, and stay there.
FIXED = routing.IndexOptions(source="fixed", start="random")


@pytest.mark.parametrize("kind", sorted(examples.EXAMPLES))
def test_every_example_is_of_a_generator_that_is_registered(kind):
  assert kind in examples.GENERATORS, f"no generator {kind!r}: drop its examples"


@pytest.mark.slow
@every
@pytest.mark.parametrize("shape", [(3, 3, 64, 48), (128, 80)])
def test_the_kernel_starts_with_the_variance_of_its_initializer(kind, name, shape):
  generator = examples.generator(kind, name, shape)
  initializer = nn.initializers.he_normal()
  offsets = examples.offsets(generator, shape)
  if kind == "elastic":
    # A kernel is read at one of several sizes; zero is the first of them.
    offsets = jax.tree.map(jnp.zeros_like, offsets)

  @jax.jit
  @jax.vmap
  def draw(key):
    tensors = generator.init(key, shape, offsets, initializer)
    assert {role: t.shape for role, t in tensors.items()} == generator.tensors(shape)
    return generator.generate(tensors, offsets, shape)

  # As many draws as keep the estimate of the least that is stored within 3%.
  kernels = draw(jax.random.split(jax.random.key(0), 16))
  assert kernels.shape == (16, *shape)
  np.testing.assert_allclose(np.var(kernels), 2.0 / math.prod(shape[:-1]), rtol=0.1)
  assert abs(np.mean(kernels)) < 0.1 * np.std(kernels)


@pytest.mark.slow
@every
@pytest.mark.parametrize("groups", [1, 2])
def test_a_layer_folds_to_what_it_is_materialised_and_trains(kind, name, groups):
  generator = examples.generator(kind, name, (3, 3, 8, 12))
  x = jax.random.normal(jax.random.key(0), (2, 7, 7, 8 * groups))
  layer = EpitomeConv(
    features=12,
    kernel_size=(3, 3),
    strides=2,
    feature_group_count=groups,
    generator=generator,
    indices=FIXED,
  )
  variables = layer.init(jax.random.key(1), x)

  def loss(params, execution):
    y = layer.clone(execution=execution).apply(variables | {"params": params}, x)
    return jnp.sum(jnp.sin(y)), y

  run = jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1)
  (_, built), gradients = run(variables["params"], "materialise")
  (_, folded), others = run(variables["params"], "fold")
  np.testing.assert_allclose(folded, built, atol=1e-5)
  for one, other in zip(*map(jax.tree.leaves, (gradients, others)), strict=True):
    np.testing.assert_allclose(one, other, atol=2e-4)
    assert np.any(one != 0)


@pytest.mark.slow
@every
def test_dense_layers_and_bfloat16_take_any_generator(kind, name):
  generator = examples.generator(kind, name, (24, 20))
  x = jnp.ones((2, 5, 24), jnp.bfloat16)
  layer = EpitomeDense(
    features=20, generator=generator, indices=FIXED, dtype=jnp.bfloat16
  )
  y, variables = layer.init_with_output(jax.random.key(0), x)
  assert (y.shape, y.dtype) == ((2, 5, 20), jnp.bfloat16)
  assert {v.dtype for v in jax.tree.leaves(variables["params"])} == {
    jnp.dtype("float32")
  }


@every
def test_it_stores_what_a_layer_of_it_holds(kind, name):
  shape = (24, 20)
  generator = examples.generator(kind, name, shape)
  layer = EpitomeDense(features=20, generator=generator, indices=FIXED, use_bias=False)
  variables = jax.eval_shape(layer.init, jax.random.key(0), jnp.ones((2, 24)))
  stored = [variables["params"], variables.get("routing", {}).get("map", {})]
  assert generator.stored(shape) == sum(leaf.size for leaf in jax.tree.leaves(stored))


@every
def test_a_plan_with_it_survives_json_and_is_priced_as_it_says(kind, name):
  use = KernelUse("a/kernel", (3, 3, 8, 12), 1, (1, 1), (6, 6), (6, 6))
  generator = examples.generator(kind, name, use.shape)
  plan = plans.make([use], {"a/kernel": generator})
  assert plan_json.from_json(plan_json.to_json(plan)) == plan
  price = totals.price(plan, inventory.Inventory((use,), {}), "fold")
  assert price.stored_params == generator.stored(use.shape)
  bits = 32 * (generator.stored(use.shape) - generator.stored_beside(use.shape))
  for axis, size in generator.offsets(use.shape).items():
    bits += generator.offset_bits(axis) * math.prod(size)
  assert price.stored_bytes == -(-bits // 8)
  assert price.madds == generator.cost(use, folded=True).madds <= use.madds


@every
def test_scaled_outputs_are_those_of_a_kernel_that_was_scaled(kind, name):
  shape = (3, 3, 8, 12)
  generator = examples.generator(kind, name, shape)
  offsets, random = examples.offsets(generator, shape), np.random.default_rng(0)
  tensors = {
    role: jnp.asarray(random.normal(size=size), jnp.float32)
    for role, size in generator.tensors(shape).items()
  }
  factors = jnp.asarray(random.uniform(0.5, 2.0, shape[-1]), jnp.float32)
  scaled = generator.scale_outputs(tensors, factors, shape)
  if scaled is None:
    pytest.skip("no tensors make such a kernel, it says")
  np.testing.assert_allclose(
    generator.generate(scaled, offsets, shape),
    generator.generate(tensors, offsets, shape) * factors.reshape(1, 1, 1, -1),
    rtol=1e-5,
    atol=1e-6,
  )


@pytest.mark.slow
def test_random_fixed_routing_is_an_epitome_whose_drawn_offsets_are_stored():
  generator, shape = Epitome((1, 1, 8, 4), "blockwise"), (1, 1, 16, 12)
  options = routing.IndexOptions(source="fixed", start="random")
  layer = EpitomeConv(
    features=12,
    kernel_size=(1, 1),
    generator=generator,
    indices=options,
    use_bias=False,
  )
  x = jax.random.normal(jax.random.key(0), (2, 3, 3, 16))
  variables = layer.init(jax.random.key(1), x)
  assert set(variables["params"]) == {"epitome"}
  offsets = variables["routing"]["map"]
  # Two indices for each of two by three blocks, and the epitome.
  assert generator.stored(shape) == 32 + 2 * 6
  for axis, cells in (("input", 8), ("output", 4)):
    values = np.asarray(offsets[axis])
    assert np.all(values == np.round(values))
    assert np.all((values >= 0) & (values < cells))
    assert len(np.unique(values)) > 1
  _, updated = layer.apply(variables, x, mutable=["routing"])
  jax.tree.map(np.testing.assert_array_equal, updated["routing"]["map"], offsets)


@pytest.mark.parametrize("kind", sorted(examples.RULES))
def test_every_rule_survives_json_and_makes_what_is_registered(kind):
  rule, use = examples.RULES[kind](), KernelUse("a/kernel", (3, 3, 64, 48))
  assert codec.decode(Rule, codec.encode(rule)) == rule
  generator = rule.at(use, max(rule.smallest(use), use.size // 4))
  generator.check(use.shape)
  assert examples.GENERATORS[generator.kind] is type(generator)


@pytest.mark.parametrize(
  ("generator", "words"),
  [
    (LowRank(0), "rank"),
    (LowRank(13), r"\[1, 12\]"),
    (Hashed(0), "buckets"),
    (Hashed(10**6), "buckets"),
    (Hashed(4, -1), "seed"),
    (WSNet(1, 3), "repetition"),
    (WSNet(0), "spacing"),
    (WSNet(80), "spacing"),
    (WSNet(1, 1, 0), "density"),
    (SharedEpitome(5, 5), "start"),
    (SharedEpitome(5, 0, 0), "block"),
  ],
)
def test_what_cannot_generate_a_kernel_says_why(generator, words):
  with pytest.raises(UserError, match=words):
    generator.check((3, 3, 8, 12))
