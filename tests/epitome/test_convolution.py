import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from jax.sharding import PartitionSpec

from neural_epitome.epitome.convolution import convolve, spelled

LAYOUTS = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC")}


def reference(x, kernel, strides, padding, kernel_dilation, feature_group_count):
  return lax.conv_general_dilated(
    x,
    kernel,
    strides,
    padding,
    rhs_dilation=kernel_dilation,
    dimension_numbers=LAYOUTS[x.ndim - 2],
    feature_group_count=feature_group_count,
  )


@st.composite
def problems(draw):
  """Shapes of a convolution: any sizes, strides, padding, dilations and groups."""
  axes = draw(st.sampled_from([1, 2]))

  def each(low, high):
    return tuple(draw(st.integers(low, high)) for _ in range(axes))

  kernel_size, strides, kernel_dilation = each(1, 4), each(1, 3), each(1, 2)
  extent = [(k - 1) * d + 1 for k, d in zip(kernel_size, kernel_dilation, strict=True)]
  size = tuple(e + draw(st.integers(0, 6)) for e in extent)
  pairs = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in size)
  padding = draw(st.sampled_from(["SAME", "VALID", pairs]))
  batch = draw(st.sampled_from([1, 2, 5, 12]))
  kind = draw(st.sampled_from(["depthwise", "dense", "grouped"]))
  channels = draw(st.integers(2, 5))
  if kind == "depthwise":
    feature_group_count, kernel = channels, (*kernel_size, 1, channels)
  elif kind == "dense":
    feature_group_count, kernel = 1, (*kernel_size, channels, draw(st.integers(1, 5)))
  else:
    feature_group_count, kernel = 2, (*kernel_size, channels, 6)
    channels *= 2
  return (
    (batch, *size, channels),
    kernel,
    strides,
    padding,
    kernel_dilation,
    feature_group_count,
  )


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(problem=problems(), seed=st.integers(0, 2**16))
def test_equals_xla_convolution_with_both_gradients(problem, seed):
  x_shape, kernel_shape, strides, padding, kernel_dilation, feature_group_count = (
    problem
  )
  generator = np.random.default_rng(seed)

  def normal(shape):
    return jnp.asarray(generator.standard_normal(shape).astype(np.float32))

  x, kernel = normal(x_shape), normal(kernel_shape)

  def ours(x, kernel):
    return convolve(
      x,
      kernel,
      strides=strides,
      padding=padding,
      kernel_dilation=kernel_dilation,
      feature_group_count=feature_group_count,
    )

  def theirs(x, kernel):
    return reference(x, kernel, strides, padding, kernel_dilation, feature_group_count)

  output = jax.eval_shape(theirs, x, kernel)
  gradient = normal(output.shape)

  @jax.jit
  def both(x, kernel, gradient):
    expected, expected_pullback = jax.vjp(theirs, x, kernel)
    actual, pullback = jax.vjp(ours, x, kernel)
    return (actual, *pullback(gradient)), (expected, *expected_pullback(gradient))

  for actual, expected in zip(*both(x, kernel, gradient), strict=True):
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=3e-5)


def test_depthwise_needs_no_xla_convolution_on_cpu():
  x, kernel = jnp.ones((2, 8, 8, 4)), jnp.ones((3, 3, 1, 4))

  def loss(x, kernel):
    options = {
      "strides": (2, 2),
      "padding": ((1, 1), (1, 1)),
      "kernel_dilation": (1, 1),
    }
    return jnp.sum(convolve(x, kernel, feature_group_count=4, **options) ** 2)

  text = jax.jit(jax.grad(loss, (0, 1))).lower(x, kernel).as_text()
  assert "stablehlo.convolution" not in text


def test_a_depthwise_convolution_can_be_spelled_for_other_machines():
  keys = jax.random.split(jax.random.key(0))
  x, kernel = (
    jax.random.normal(key, shape)
    for key, shape in zip(keys, ((2, 8, 8, 4), (3, 3, 1, 4)), strict=True)
  )
  options = {"strides": (2, 2), "padding": ((1, 1), (1, 1)), "kernel_dilation": (1, 1)}
  outputs, texts = {}, {}
  for spelling in ("backend", "platform", "convolution"):
    run = jax.jit(
      lambda x, kernel: convolve(x, kernel, feature_group_count=4, **options)
    )
    with spelled(spelling):
      texts[spelling] = run.trace(x, kernel).lower(lowering_platforms=("cpu", "cuda"))
      outputs[spelling] = run(x, kernel)
  for spelling in ("platform", "convolution"):
    np.testing.assert_allclose(outputs[spelling], outputs["backend"], atol=1e-5)
  texts = {spelling: text.as_text() for spelling, text in texts.items()}
  assert "stablehlo.convolution" not in texts["backend"]
  assert "stablehlo.case" in texts["platform"]
  for spelling in ("platform", "convolution"):
    assert "stablehlo.convolution" in texts[spelling]


@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
def test_pointwise_is_a_matrix_product(strides):
  x, kernel = jnp.ones((2, 7, 7, 4)), jnp.ones((1, 1, 4, 3))
  options = {
    "padding": ((0, 0), (0, 0)),
    "kernel_dilation": (1, 1),
    "feature_group_count": 1,
  }

  def run(x, kernel):
    return convolve(x, kernel, strides=strides, **options)

  assert "stablehlo.convolution" not in jax.jit(run).lower(x, kernel).as_text()


@pytest.mark.slow
@pytest.mark.parametrize("kernel_size", [(3,), (3, 3)])
def test_half_precision_accumulates_in_float32(kernel_size):
  generator = np.random.default_rng(0)
  space = (9,) * len(kernel_size)
  x = jnp.asarray(generator.standard_normal((8, *space, 6)), jnp.bfloat16)
  kernel = jnp.asarray(generator.standard_normal((*kernel_size, 1, 6)), jnp.bfloat16)
  strides = kernel_dilation = (1,) * len(kernel_size)
  options = {
    "strides": strides,
    "padding": "SAME",
    "kernel_dilation": kernel_dilation,
    "feature_group_count": 6,
  }

  def run(x, kernel):
    return convolve(x, kernel, **options)

  half, pullback = jax.vjp(run, x, kernel)
  full, full_pullback = jax.vjp(run, x.astype(jnp.float32), kernel.astype(jnp.float32))
  assert half.dtype == jnp.bfloat16
  pairs = [(half, full)]
  pairs += zip(pullback(half), full_pullback(half.astype(jnp.float32)), strict=True)
  for low, high in pairs:
    # One rounding at the end: half a unit in the last of eight bits.
    np.testing.assert_allclose(low.astype(jnp.float32), high, rtol=2**-8, atol=1e-6)


@pytest.mark.slow
def test_replicated_kernel_gets_the_summed_gradient_under_shard_map():
  mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
  generator = np.random.default_rng(0)
  x = jnp.asarray(generator.standard_normal((4, 6, 6, 3)).astype(np.float32))
  kernel = jnp.asarray(generator.standard_normal((3, 3, 1, 3)).astype(np.float32))
  options = {
    "strides": (2, 2),
    "padding": "SAME",
    "kernel_dilation": (1, 1),
    "feature_group_count": 3,
  }

  def loss(x, kernel):
    return jnp.sum(convolve(x, kernel, **options) ** 2)

  batch, whole = PartitionSpec("data"), PartitionSpec()

  @jax.jit
  @jax.shard_map(mesh=mesh, in_specs=(batch, whole), out_specs=(batch, whole))
  def sharded(x, kernel):
    return jax.grad(loss, (0, 1))(x, kernel)

  for actual, expected in zip(
    sharded(x, kernel), jax.grad(loss, (0, 1))(x, kernel), strict=True
  ):
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)
