"""`sample` against the definition, written as loops over single weights."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from jax.test_util import check_grads

from neural_epitome.epitome import sampling
from tests.epitome.strategies import cases

# One compilation a case instead of one an operation.
sample = jax.jit(sampling.sample, static_argnums=2)


def taps(position, cells, circular):
  """The (cell, weight) pairs of linear interpolation at one position."""
  if not circular:
    position = min(max(position, 0.0), cells - 1.0)
  low = math.floor(position)
  weight = position - low
  pairs = [(low, 1.0 - weight), (low + 1, weight)]
  wrapped = [(cell % cells if circular else cell, w) for cell, w in pairs]
  return [(cell, w) for cell, w in wrapped if w > 0.0]


def sample_by_definition(epitome, offsets, shape):
  """Specification 2, one weight at a time."""
  inputs, outputs = epitome.shape[-2:]
  window = shape[:-2]
  kernel = np.zeros(shape)
  for index in np.ndindex(*shape):
    *place, m, n = index
    (row, m), (column, n) = divmod(m, inputs), divmod(n, outputs)
    block = (row, column)

    def offset(axis, block=block):
      value = offsets.get(axis)
      if value is None:
        return np.zeros(len(window)) if axis == "spatial" else 0.0
      is_blockwise = value.ndim == (3 if axis == "spatial" else 2)
      if is_blockwise:
        return value[block]
      if axis == "spatial":
        return value
      return value[block[0] if axis == "input" else block[1]]

    starts = offset("spatial")
    axes = []
    for i, size in enumerate(window):
      room = epitome.shape[i] - size
      start = min(max(float(starts[i]), 0.0), float(room))
      axes.append(taps(start + place[i], epitome.shape[i], circular=False))
    axes.append(taps(float(offset("input")) + m, inputs, circular=True))
    axes.append(taps(float(offset("output")) + n, outputs, circular=True))
    for combination in itertools.product(*axes):
      cell = tuple(c for c, _ in combination)
      kernel[index] += math.prod(w for _, w in combination) * epitome[cell]
  return kernel


@pytest.mark.slow
@given(cases())
@settings(max_examples=30)
def test_sample_equals_the_definition_weight_by_weight(case):
  kernel = sample(case.epitome, case.offsets, case.shape)
  offsets = {axis: np.asarray(value) for axis, value in case.offsets.items()}
  expected = sample_by_definition(np.asarray(case.epitome), offsets, case.shape)
  assert kernel.dtype == case.epitome.dtype
  np.testing.assert_allclose(kernel, expected, atol=1e-5)


@pytest.mark.slow
@given(cases(routings=("tile",)))
def test_tile_equals_jnp_tile(case):
  kernel = sample(case.epitome, {}, case.shape)
  window = tuple(slice(0, size) for size in case.shape[:-2])
  repeats = [1] * len(window) + [
    -(-full // small)
    for full, small in zip(case.shape[-2:], case.epitome.shape[-2:], strict=True)
  ]
  expected = jnp.tile(case.epitome[window], repeats)
  expected = expected[..., : case.shape[-2], : case.shape[-1]]
  np.testing.assert_array_equal(kernel, expected)


@pytest.mark.slow
@given(cases(routings=("factorised", "blockwise")))
def test_channel_offsets_are_circular(case):
  moved = {
    axis: value
    if axis == "spatial"
    else value + 3.0 * case.epitome.shape[-2 if axis == "input" else -1]
    for axis, value in case.offsets.items()
  }
  np.testing.assert_allclose(
    sample(case.epitome, moved, case.shape),
    sample(case.epitome, case.offsets, case.shape),
    atol=1e-4,
  )


@pytest.mark.slow
@given(cases(routings=("factorised",)))
def test_blockwise_with_equal_offsets_equals_factorised(case):
  rows = -(-case.shape[-2] // case.epitome.shape[-2])
  columns = -(-case.shape[-1] // case.epitome.shape[-1])
  spread = {
    "input": lambda v: jnp.broadcast_to(v[:, None], (rows, columns)),
    "output": lambda v: jnp.broadcast_to(v[None, :], (rows, columns)),
    "spatial": lambda v: jnp.broadcast_to(v[None, None], (rows, columns, v.size)),
  }
  blockwise = {axis: spread[axis](value) for axis, value in case.offsets.items()}
  np.testing.assert_allclose(
    sample(case.epitome, blockwise, case.shape),
    sample(case.epitome, case.offsets, case.shape),
    atol=1e-6,
  )


@pytest.mark.slow
@given(cases())
@settings(max_examples=10)
def test_gradient_to_the_epitome_passes_check_grads(case):
  check_grads(
    jax.jit(lambda epitome: sample(epitome, case.offsets, case.shape)),
    (case.epitome,),
    order=1,
    modes=["rev"],
    atol=2e-2,
    rtol=2e-2,
  )


@pytest.mark.slow
@given(cases(routings=("factorised", "blockwise")))
@settings(max_examples=10)
def test_gradient_to_offsets_equals_finite_differences_inside_a_cell(case):
  step = 1e-2
  # Keep both ends of each difference inside one cell, where sampling is linear.
  offsets = jax.tree.map(lambda v: jnp.floor(v) + 0.5, case.offsets)
  weights = jax.random.normal(jax.random.key(0), case.shape)

  @jax.jit
  def loss(offsets):
    return jnp.sum(weights * sample(case.epitome, offsets, case.shape))

  gradients = jax.jit(jax.grad(loss))(offsets)
  for axis, value in offsets.items():
    for index in list(np.ndindex(*value.shape))[:3]:
      up = loss(offsets | {axis: value.at[index].add(step)})
      down = loss(offsets | {axis: value.at[index].add(-step)})
      np.testing.assert_allclose(
        gradients[axis][index], (up - down) / (2 * step), atol=2e-2, rtol=2e-2
      )


def test_index_gradient_is_the_difference_of_the_epitome_shifted_by_one():
  epitome = jnp.array([[1.0], [4.0], [9.0]])
  cotangent = jnp.array([[1.0], [10.0], [100.0]])

  def loss(start):
    return jnp.sum(cotangent * sample(epitome, {"input": start}, (3, 1)))

  # Specification 3: <dL/dW_r, E shifted by one - E>, at an integer to its right.
  expected = 1.0 * (4.0 - 1.0) + 10.0 * (9.0 - 4.0) + 100.0 * (1.0 - 9.0)
  np.testing.assert_allclose(jax.grad(loss)(jnp.zeros(1)), [expected])


def test_sampling_is_static_in_shape_and_runs_under_jit_and_vmap():
  epitome = jax.random.normal(jax.random.key(0), (4, 4, 3, 5))
  starts = jnp.array([[0.2, 1.5, 2.0], [0.0, 0.5, 2.9]])

  @jax.jit
  @jax.vmap
  def kernels(start):
    return sample(epitome, {"input": start}, (3, 3, 8, 5))

  expected = jnp.stack([sample(epitome, {"input": s}, (3, 3, 8, 5)) for s in starts])
  np.testing.assert_allclose(kernels(starts), expected, atol=1e-6)


@pytest.mark.slow
@settings(max_examples=12)  # each is two programs of its own
@given(cases(routings=("factorised",)))
def test_offsets_that_are_known_beforehand_give_the_same_kernel_without_arithmetic(
  case,
):
  offsets = {axis: np.floor(np.asarray(v)) for axis, v in case.offsets.items()}
  sampled = jax.jit(lambda e: sampling.sample(e, offsets, case.shape))
  arrays = {axis: jnp.asarray(value) for axis, value in offsets.items()}
  expected = sample(case.epitome, arrays, case.shape)
  np.testing.assert_allclose(sampled(case.epitome), expected, rtol=1e-6, atol=1e-6)
  text = sampled.lower(case.epitome).as_text()
  assert "dynamic_slice" not in text
  assert "multiply" not in text
