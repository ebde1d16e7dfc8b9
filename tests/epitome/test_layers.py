"""Layers: what is a parameter, what training updates, what evaluation may read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from neural_epitome.epitome import plan as plans
from neural_epitome.epitome import routing
from neural_epitome.epitome.generators import Dense, Epitome, WSNet
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.epitome.layers import EpitomeConv, EpitomeDense
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.errors import UserError

SOURCES = ["learner", "free", "fixed"]
X = jax.random.normal(jax.random.key(7), (4, 6, 6, 8))


def conv(source="learner", structure="factorised", **options):
  generator = Epitome((3, 3, 4, 4), structure)
  indices = IndexOptions(source=source, start="spread")
  return EpitomeConv(
    features=12, kernel_size=(3, 3), generator=generator, indices=indices, **options
  )


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_a_dense_layer_equals_flax(strides, dilation, groups):
  options = {"strides": strides, "padding": "SAME"}
  ours = EpitomeConv(
    features=12,
    kernel_size=(3, 3),
    kernel_dilation=dilation,
    feature_group_count=groups,
    **options,
  )
  theirs = nn.Conv(
    12,
    (3, 3),
    kernel_dilation=dilation,
    feature_group_count=groups,
    **options,
  )
  variables = ours.init(jax.random.key(0), X)
  assert jax.tree.map(jnp.shape, variables) == jax.tree.map(
    jnp.shape, theirs.init(jax.random.key(0), X)
  )
  np.testing.assert_allclose(
    ours.apply(variables, X), theirs.apply(variables, X), atol=1e-5
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  ("source", "names"),
  [
    ("learner", {"epitome", "bias", "index_learner"}),
    ("free", {"epitome", "bias", "indices"}),
    ("fixed", {"epitome", "bias"}),
  ],
)
def test_only_stored_tensors_and_what_offsets_come_from_are_parameters(source, names):
  variables = conv(source).init(jax.random.key(0), X)
  assert set(variables["params"]) == names
  assert variables["params"]["epitome"].shape == (3, 3, 4, 4)
  assert set(variables["routing"]) == {"map", "weight", "frozen"}
  assert set(variables["routing"]["map"]) == {"input", "output"}


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["factorised", "blockwise"])
def test_all_sources_start_as_the_same_network(structure):
  """A learner begins as free indices do, and both at the routing map."""
  outputs = []
  for source in SOURCES:
    layer = conv(source, structure)
    variables = layer.init(jax.random.key(0), X)
    live, _ = layer.apply(variables, X, mutable=["routing"])
    np.testing.assert_allclose(live, layer.apply(variables, X), atol=1e-6)
    outputs.append(layer.apply(variables, X).shape)
  assert set(outputs) == {(4, 6, 6, 12)}


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_evaluation_on_a_batch_equals_evaluation_one_by_one(source):
  layer = conv(source)
  variables = layer.init(jax.random.key(0), X)
  if source == "learner":
    # Away from its start, a learner's output depends on the batch it sees.
    moved = jax.random.normal(jax.random.key(3), (16, 5))
    variables["params"]["index_learner"]["move"]["kernel"] = moved
  together = layer.apply(variables, X)
  alone = jnp.concatenate([layer.apply(variables, x[None]) for x in X])
  np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.slow
def test_the_map_follows_the_learner_and_holds_still_once_frozen():
  layer = conv("learner")
  variables = layer.init(jax.random.key(0), X)
  variables["params"]["index_learner"]["bias"] += 1.0
  before = variables["routing"]
  _, updated = layer.apply(variables, X, mutable=["routing"])
  after = updated["routing"]
  for axis, value in after["map"].items():
    np.testing.assert_allclose(value, before["map"][axis] + 1.0, atol=1e-5)
  frozen = routing.freeze(after)
  y, updated = layer.apply(variables | {"routing": frozen}, X, mutable=["routing"])
  jax.tree.map(np.testing.assert_array_equal, updated["routing"], frozen)
  np.testing.assert_array_equal(y, layer.apply(variables | {"routing": frozen}, X))


@pytest.mark.slow
@pytest.mark.parametrize("source", ["learner", "free"])
def test_training_sends_gradients_to_the_source_of_offsets(source):
  layer = conv(source)
  variables = layer.init(jax.random.key(0), X)
  name = "index_learner" if source == "learner" else "indices"

  def loss(params, routing_state):
    y, _ = layer.apply(
      {"params": params, "routing": routing_state}, X, mutable=["routing"]
    )
    return jnp.sum(y**2)

  gradients = jax.grad(loss)(variables["params"], variables["routing"])
  source_gradients = jax.tree.leaves(gradients[name])
  assert any(np.any(g != 0) for g in source_gradients)
  frozen = routing.freeze(variables["routing"])
  gradients = jax.grad(loss)(variables["params"], frozen)
  assert all(np.all(g == 0) for g in jax.tree.leaves(gradients[name]))


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["tile", "factorised"])
def test_both_executions_give_the_same_output_and_gradients(structure):
  materialised = conv("fixed", structure)
  folded = conv("fixed", structure, execution="fold")
  variables = materialised.init(jax.random.key(0), X)

  def loss(layer):
    return lambda params: jnp.sum(jnp.sin(layer.apply(variables | params, X)))

  params = {"params": variables["params"]}
  np.testing.assert_allclose(
    folded.apply(variables, X), materialised.apply(variables, X), atol=1e-5
  )
  one, other = jax.grad(loss(materialised))(params), jax.grad(loss(folded))(params)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), one, other)


@pytest.mark.slow
def test_the_backward_pass_keeps_the_epitome_and_not_the_kernel():
  # A kernel far larger than anything else, so that its presence must show.
  layer = EpitomeDense(
    features=512, use_bias=False, generator=Epitome((64, 64)), dtype=jnp.float32
  )
  x = jnp.ones((2, 512))
  variables = layer.init(jax.random.key(0), x)

  def output(epitome):
    return layer.apply(
      {"params": {"epitome": epitome}, "routing": variables["routing"]}, x
    )

  _, pullback = jax.vjp(output, variables["params"]["epitome"])
  kept = max(leaf.size for leaf in jax.tree.leaves(pullback))
  assert kept <= 64 * 64


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["tile", "factorised", "blockwise"])
def test_the_kernel_starts_with_the_variance_of_its_own_fan_in(structure):
  shape = (3, 3, 128, 128)
  generator = Epitome((3, 3, 32, 64), structure)
  offsets = routing.starting_offsets(
    IndexOptions(start="spread", noise=0.3),
    jax.random.key(1),
    generator.offsets(shape),
    generator.start_cells(shape),
  )
  initializer = nn.initializers.he_normal()
  tensors = generator.init(jax.random.key(0), shape, offsets, initializer)
  kernel = generator.generate(tensors, offsets, shape)
  np.testing.assert_allclose(np.var(kernel), 2.0 / (9 * 128), rtol=0.1)


@pytest.mark.slow
def test_one_dimensional_convolutions_take_epitomes_and_wsnet():
  x = jax.random.normal(jax.random.key(0), (2, 20, 6))
  for generator in (Epitome((5, 3, 4)), WSNet(2, 2)):
    layer = EpitomeConv(
      features=8, kernel_size=(4,), strides=2, padding=((1, 1),), generator=generator
    )
    y, variables = layer.init_with_output(jax.random.key(1), x)
    assert y.shape == (2, 10, 8)
    folded = layer.clone(execution="fold").apply(variables, x)
    np.testing.assert_allclose(folded, y, atol=1e-5)


@pytest.mark.slow
def test_bfloat16_computes_in_bfloat16_and_keeps_float32_parameters():
  layer = conv("learner", dtype=jnp.bfloat16)
  y, variables = layer.init_with_output(jax.random.key(0), X)
  assert y.dtype == jnp.bfloat16
  dtypes = {leaf.dtype for leaf in jax.tree.leaves(variables["params"])}
  assert dtypes == {jnp.dtype("float32")}


class Pair(nn.Module):
  """Two layers whose kernels a plan may generate from one tensor."""

  plan: plans.Plan

  @nn.compact
  def __call__(self, x):
    x = EpitomeDense(features=8, generator=self.plan, name="one")(x)
    return EpitomeDense(features=8, generator=self.plan, name="two")(x)


def pair_plan(shared):
  uses = [KernelUse("one/kernel", (8, 8)), KernelUse("two/kernel", (8, 8))]
  generators = {use.path: Epitome((4, 8), "tile") for use in uses}
  names = {use.path: {"epitome": "bank"} for use in uses} if shared else None
  return plans.make(uses, generators, names)


def test_kernels_that_share_a_tensor_store_it_once_and_both_train_it():
  x = X[:, 0, 0]
  model = Pair(pair_plan(shared=True))
  variables = model.init(jax.random.key(0), x)
  assert set(variables["params"]) == {"bank", "one", "two"}
  assert set(variables["params"]["one"]) == {"bias"}
  bank = variables["params"]["bank"]
  kernel = jnp.concatenate([bank, bank])
  np.testing.assert_allclose(model.apply(variables, x), x @ kernel @ kernel, atol=1e-5)
  alone = Pair(pair_plan(shared=False)).init(jax.random.key(0), x)
  assert set(alone["params"]["one"]) == {"bias", "epitome"}


def test_a_plan_of_another_architecture_is_refused_by_name():
  uses = [KernelUse("one/kernel", (8, 8))]
  model = Pair(plans.make(uses, {"one/kernel": Dense()}))
  with pytest.raises(UserError, match="two/kernel"):
    model.init(jax.random.key(0), X[:, 0, 0])


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_layers_train_under_shard_map_wherever_offsets_come_from(source):
  mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
  layer = conv(source, axis_name="data")
  variables = layer.init(jax.random.key(0), X)
  parts = jax.sharding.PartitionSpec

  def loss(params, x, name):
    here = layer.clone(axis_name=name)
    y, _ = here.apply({**variables, "params": params}, x, mutable=["routing"])
    return jnp.mean(y**2)

  def per_device(params, x):
    params = jax.tree.map(lambda p: jax.lax.pcast(p, "data", to="varying"), params)
    return jax.lax.pmean(jax.grad(loss)(params, x, "data"), "data")

  sharded = jax.jit(
    jax.shard_map(
      per_device, mesh=mesh, in_specs=(parts(), parts("data")), out_specs=parts()
    )
  )
  alone = jax.jit(jax.grad(lambda params: loss(params, X, None)))(variables["params"])
  together = sharded(variables["params"], X)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), together, alone
  )
