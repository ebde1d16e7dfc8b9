import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.sharding import PartitionSpec

from neural_epitome.models.normalization import BatchNorm

OPTIONS = {"momentum": 0.9, "epsilon": 1e-3}


@pytest.fixture
def activations():
  values = np.random.default_rng(0).standard_normal((8, 5, 5, 6)) * 2 + 1.5
  return jnp.asarray(values.astype(np.float32))


@pytest.fixture
def variables():
  generator = np.random.default_rng(1)

  def vector(low, high):
    return jnp.asarray(generator.uniform(low, high, 6).astype(np.float32))

  params = {"scale": vector(0.5, 2), "bias": vector(-1, 1)}
  return {
    "params": params,
    "batch_stats": {"mean": vector(-1, 1), "var": vector(0.5, 2)},
  }


def test_has_the_variables_of_flax(activations):
  def shapes(cls):
    module = cls(use_running_average=False)
    return jax.eval_shape(module.init, jax.random.key(0), activations)

  assert shapes(BatchNorm) == shapes(nn.BatchNorm)


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [True, False])
def test_equals_flax_with_its_gradients(activations, variables, frozen):
  def run(cls):
    module = cls(use_running_average=frozen, **OPTIONS)

    def loss(params, x):
      y, updated = module.apply(
        {**variables, "params": params}, x, mutable=["batch_stats"]
      )
      return jnp.sum(jnp.sin(y)), (y, updated)

    return jax.grad(loss, (0, 1), has_aux=True)(variables["params"], activations)

  def compare(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-5)

  jax.tree.map(compare, run(BatchNorm), run(nn.BatchNorm))


def test_initialising_leaves_the_averages_alone(activations):
  module = BatchNorm(use_running_average=False)
  stats = module.init(jax.random.key(0), activations)["batch_stats"]
  np.testing.assert_array_equal(stats["mean"], 0)
  np.testing.assert_array_equal(stats["var"], 1)


@pytest.mark.slow
def test_statistics_over_a_mesh_axis_are_those_of_the_whole_batch(
  activations, variables
):
  mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

  def loss_of(axis_name):
    module = BatchNorm(use_running_average=False, axis_name=axis_name, **OPTIONS)

    def loss(params, x):
      y, updated = module.apply(
        {**variables, "params": params}, x, mutable=["batch_stats"]
      )
      total = jnp.sum(jnp.sin(y))
      return total if axis_name is None else jax.lax.psum(total, axis_name), updated

    return jax.value_and_grad(loss, has_aux=True)

  whole = PartitionSpec()
  sharded = jax.jit(
    jax.shard_map(
      loss_of("data"),
      mesh=mesh,
      in_specs=(whole, PartitionSpec("data")),
      out_specs=whole,
    )
  )
  actual = sharded(variables["params"], activations)
  expected = loss_of(None)(variables["params"], activations)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
    actual,
    expected,
  )


def test_half_precision_differs_by_rounding_only(activations, variables):
  module = BatchNorm(use_running_average=False, dtype=jnp.bfloat16, **OPTIONS)
  rounded = activations.astype(jnp.bfloat16)
  half, stats = module.apply(variables, rounded, mutable=["batch_stats"])
  full, full_stats = BatchNorm(use_running_average=False, **OPTIONS).apply(
    variables, rounded.astype(jnp.float32), mutable=["batch_stats"]
  )
  assert half.dtype == jnp.bfloat16
  np.testing.assert_allclose(half.astype(jnp.float32), full, rtol=2**-8, atol=1e-6)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), stats, full_stats
  )


@pytest.mark.slow
def test_a_mask_leaves_out_the_examples_that_have_not_a_channel():
  x = 3.0 * jax.random.normal(jax.random.key(0), (6, 4, 4, 5)) + 1.0
  mask = jnp.ones((6, 5)).at[2:, 1].set(0.0).at[:, 3].set(0.0)
  norm = BatchNorm(use_running_average=False, momentum=0.75)
  variables = norm.init(jax.random.key(1), x)
  y, updated = norm.apply(variables, x, mask, mutable=["batch_stats"])
  plain, of_all = norm.apply(variables, x, mutable=["batch_stats"])
  np.testing.assert_allclose(y[..., 0], plain[..., 0], atol=1e-5)
  some, of_some = norm.apply(variables, x[:2], mutable=["batch_stats"])
  np.testing.assert_allclose(y[:2, ..., 1], some[..., 1], atol=1e-5)
  # What none has is as the moving averages say, which stay.
  np.testing.assert_allclose(y[..., 3], x[..., 3], rtol=1e-4)
  for name, start in (("mean", 0.0), ("var", 1.0)):
    statistics = updated["batch_stats"][name]
    np.testing.assert_allclose(statistics[0], of_all["batch_stats"][name][0], rtol=1e-5)
    np.testing.assert_allclose(
      statistics[1], of_some["batch_stats"][name][1], rtol=1e-5
    )
    assert statistics[3] == start
