"""Rounded numbers: the grid, and layers that read their tensors through it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import qwix
from flax import linen as nn
from flax import nnx

from neural_epitome.epitome import nnx_layers, rounding
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import Epitome, SharedEpitome
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.epitome.layers import EpitomeConv, EpitomeDense
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.errors import UserError

X = jax.random.normal(jax.random.key(7), (2, 6, 6, 8))
FIXED = IndexOptions(source="fixed", start="spread")
# One axis is short, so that blocks with factors fold.
SCALED = Epitome((3, 3, 8, 4), "factorised", scaled=True)
GENERATORS = {"scaled": SCALED, "shared": SharedEpitome(100, block=50)}


@pytest.mark.parametrize("bits", [1, 2, 5, 8, 16])
@pytest.mark.parametrize("shape", [(3, 9, 5), (60,)])
def test_in_numpy_numbers_are_rounded_to_the_same(bits, shape):
  array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
  array[..., :1] = 0.0
  expected = rounding.straight_through(jnp.asarray(array), bits)
  made = rounding.nearest(array, bits)
  assert made.dtype == np.float32
  np.testing.assert_allclose(made, expected, rtol=1e-6)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("shape", [(9, 7, 5), (60,)])
def test_the_grid_is_that_of_the_formula_and_what_is_on_it_stays(bits, shape):
  array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
  array[..., :1] = 0.0
  integers, factors = map(np.asarray, rounding.quantise(array, bits))
  most = 2 ** (bits - 1) - 1
  axes = tuple(range(array.ndim - 1)) or None
  largest = np.abs(array).max(axis=axes).reshape(-1)
  expected = np.where(largest > 0, largest / most, 1.0)
  np.testing.assert_allclose(factors, expected, rtol=1e-6)
  np.testing.assert_array_equal(integers, np.round(array / factors))
  assert integers.dtype == np.int8
  assert np.abs(integers).max() == most
  rounded = np.asarray(rounding.straight_through(array, bits))
  np.testing.assert_array_equal(rounded, integers * factors)
  np.testing.assert_allclose(
    rounding.straight_through(rounded, bits), rounded, rtol=1e-6
  )


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("shape", [(3, 3, 5, 7), (60,)])
def test_numbers_are_those_of_qwix_to_the_last_bit(bits, shape):
  array = np.random.default_rng(bits).normal(size=shape).astype(np.float32)
  array[..., :1] = [1e-25]  # so small that its factor is 1
  most = 2 ** (bits - 1) - 1
  expected = jax.jit(
    lambda array: qwix.quantize(
      array,
      f"int{bits}",
      channelwise_axes=(len(shape) - 1,) if len(shape) > 1 else (),
      calibration_method=f"absmax,{(most + 0.5) / most}",
    )
  )(array)
  integers, factors = rounding.quantise(array, bits)
  np.testing.assert_array_equal(integers, expected.qvalue.astype("int8"))
  np.testing.assert_array_equal(factors, expected.scale.reshape(-1))
  np.testing.assert_array_equal(
    rounding.straight_through(array, bits), qwix.dequantize(expected)
  )


@pytest.mark.parametrize("shape", [(3, 2, 5, 7), (60,)])
def test_one_bit_is_the_sign_times_the_factor_nearest_in_least_squares(shape):
  array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
  array.reshape(-1)[-3] = 0.0  # a plus
  signs, factors = map(np.asarray, rounding.quantise(array, 1))
  assert signs.dtype == np.int8
  np.testing.assert_array_equal(signs, np.where(array < 0, -1, 1))
  columns = array.reshape(-1, factors.size), signs.reshape(-1, factors.size)
  for column, sign, factor in zip(*(c.T for c in columns), factors, strict=True):
    [expected], *_ = np.linalg.lstsq(sign[:, None].astype(np.float32), column)
    np.testing.assert_allclose(factor, expected, rtol=1e-5)
  rounded = np.asarray(rounding.straight_through(array, 1))
  np.testing.assert_array_equal(rounded, signs * factors)
  np.testing.assert_array_equal(rounding.straight_through(rounded, 1), rounded)


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_what_is_of_one_bit_already_keeps_its_factors_to_the_last_bit(size):
  factors = np.float32([0.1, 1e-30, 0.0, 3.3])
  signs = np.random.default_rng(size).choice([-1, 1], (size, 4)).astype(np.float32)
  np.testing.assert_array_equal(rounding.quantise(signs * factors, 1)[1], factors)


def test_the_gradient_of_one_bit_is_that_of_the_polynomial_and_of_the_factor():
  random = np.random.default_rng(1)
  array, cotangent = random.normal(size=(2, 40, 3)).astype(np.float32)
  array[:, 2] = 0.0
  signs, factors = map(np.asarray, rounding.quantise(array, 1))
  _, transposed = jax.vjp(lambda a: rounding.straight_through(a, 1), array)
  [gradient] = transposed(cotangent)
  # The closed form: two thirds of it at zero, nothing beyond three times the factor.
  ends = np.where(factors > 0, 3 * factors, 1.0)
  share = 2 / 3 * np.maximum(1 - np.abs(array) / ends, 0)
  passed = share * cotangent * (factors > 0)
  of_factor = np.mean(cotangent * signs, 0) * signs
  np.testing.assert_allclose(gradient, passed + of_factor, atol=1e-6)
  assert 0 < np.mean(np.abs(array[:, :2]) > ends[:2]) < 0.1  # both cases are met


def test_signs_and_factors_of_one_bit_are_trained():
  target = jax.random.normal(jax.random.key(0), (64, 5))
  target = jnp.sign(target) * jnp.linspace(0.7, 2.0, 5)[None]

  @jax.jit
  @jax.grad
  def gradient(kernel):
    return jnp.sum((rounding.straight_through(kernel, 1) - target) ** 2)

  kernel = 0.5 * jax.random.normal(jax.random.key(1), target.shape)
  for _ in range(200):
    kernel -= 0.05 * gradient(kernel)
  made = rounding.straight_through(kernel, 1)
  np.testing.assert_array_equal(jnp.sign(made), jnp.sign(target))
  np.testing.assert_allclose(made, target, atol=0.02)


def layer_of(generator, **options):
  return EpitomeConv(
    features=12, kernel_size=(3, 3), generator=generator, indices=FIXED, **options
  )


@pytest.mark.slow
@pytest.mark.parametrize("name", GENERATORS)
def test_a_layer_reads_rounded_tensors_and_float_factors_straight_through(name):
  generator = GENERATORS[name]
  whole, coarse = layer_of(generator), layer_of(generator, bits=4)
  variables = whole.init(jax.random.key(0), X)
  params = variables["params"]
  # Factors that no grid of four bits has.
  params |= {k: v * jnp.linspace(0.7, 1.3, v.size).reshape(v.shape)
             for k, v in params.items() if k == "scale"}  # fmt: skip
  on_grid = {
    role: value if role in ("scale", "bias") else rounding.straight_through(value, 4)
    for role, value in params.items()
  }

  def answer(layer, params):
    def loss(params):
      y = layer.apply(variables | {"params": params}, X)
      return jnp.sum(jnp.sin(y)), y

    gradients, y = jax.jit(jax.grad(loss, has_aux=True))(params)
    return y, gradients

  y, gradients = answer(coarse, params)
  expected, expected_gradients = answer(whole, on_grid)
  np.testing.assert_allclose(y, expected, atol=1e-5)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4),
    gradients,
    expected_gradients,
  )
  assert np.abs(y - answer(whole, params)[0]).max() > 0.01


@pytest.mark.slow
def test_both_executions_give_the_same_output_at_eight_bits():
  layer = layer_of(SCALED, bits=8)
  variables = layer.init(jax.random.key(0), X)
  folded = layer.clone(execution="fold")
  np.testing.assert_allclose(
    folded.apply(variables, X), layer.apply(variables, X), atol=1e-5
  )


@pytest.mark.slow
def test_layers_of_nnx_read_rounded_tensors_too():
  layer = nnx_layers.EpitomeLinear(
    16, 12, generator=Epitome((8, 12)), bits=8, rngs=nnx.Rngs(0)
  )
  epitome = rounding.straight_through(layer.tensors["epitome"][...], 8)
  expected = layer.generator.generate(
    {"epitome": epitome}, {k: v[...] for k, v in layer.offsets.items()}, (16, 12)
  )
  np.testing.assert_array_equal(layer.kernel(), expected)


class Pair(nn.Module):
  """Two layers whose kernels are generated from one tensor."""

  plan: plans.Plan

  @nn.compact
  def __call__(self, x):
    """(batch, 8) -> (batch, 8)."""
    for name in ("one", "two"):
      x = EpitomeDense(features=8, generator=self.plan, name=name)(x)
    return x


def test_kernels_that_share_a_tensor_read_it_rounded_alike():
  uses = [KernelUse("one/kernel", (8, 8)), KernelUse("two/kernel", (8, 8))]
  generators = {use.path: Epitome((4, 8), "tile") for use in uses}
  plan = plans.make(uses, generators, {u.path: {"epitome": "bank"} for u in uses})
  # The fewest that any of them has.
  plan = plan.narrowed({"two/kernel": 8})
  model, x = Pair(plan), X[:, 0, 0]
  variables = model.init(jax.random.key(0), x)
  bank = rounding.straight_through(variables["params"]["bank"], 8)
  kernel = jnp.concatenate([bank, bank])
  np.testing.assert_allclose(model.apply(variables, x), x @ kernel @ kernel, atol=1e-5)


def test_other_bits_are_refused():
  with pytest.raises(UserError, match="bits=12 must be 32 or 16"):
    layer_of(SCALED, bits=12).init(jax.random.key(0), X)


def test_bits_beside_a_plan_are_refused():
  plan = plans.make([KernelUse("kernel", (3, 3, 8, 12))], {"kernel": SCALED})
  with pytest.raises(UserError, match=r"use plan\.narrowed\(8\)"):
    layer_of(plan, bits=8).init(jax.random.key(0), X)
