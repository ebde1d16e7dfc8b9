"""WSNet's windows, against slices in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_epitome.epitome.generators import WSNet, WSNetRule
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.epitome.layers import EpitomeConv
from neural_epitome.errors import UserError


@pytest.mark.slow
@given(
  st.lists(st.integers(1, 3), max_size=2).filter(lambda window: len(window) != 1),
  st.integers(1, 6),
  st.integers(1, 3),
  st.integers(1, 9),
  st.floats(0.1, 1.0),
)
@settings(max_examples=8)
def test_filters_are_flattened_windows_along_one_vector(
  window, narrow, repetition, filters, share
):
  shape = (*window, narrow * repetition, filters)
  length = int(np.prod(window)) * narrow
  generator = WSNet(share * length, repetition)
  generator.check(shape)
  [size] = generator.tensors(shape)["condensed"]
  vector = np.random.default_rng(0).standard_normal(size).astype(np.float32)
  kernel = generator.generate({"condensed": jnp.asarray(vector)}, {}, shape)
  for n in range(filters):
    start = int(n * generator.spacing + 1e-6)
    flat = vector[start : start + length].reshape(*window, narrow)
    expected = np.tile(flat, (1,) * len(window) + (repetition,))
    np.testing.assert_array_equal(kernel[..., n], expected)
  assert size == length + int((filters - 1) * generator.spacing + 1e-6)


def test_one_dimensional_filters_are_windows_of_taps():
  generator, shape = WSNet(2, 2), (3, 4, 5)
  condensed = np.random.default_rng(0).standard_normal((11, 2)).astype(np.float32)
  kernel = generator.generate({"condensed": jnp.asarray(condensed)}, {}, shape)
  for n in range(5):
    window = condensed[2 * n : 2 * n + 3]
    np.testing.assert_array_equal(kernel[..., n], np.tile(window, (1, 2)))


@pytest.mark.parametrize("rate", [4, 16, 64])
@pytest.mark.parametrize(
  "shape", [(64, 1, 16), (32, 16, 32), (8, 64, 128), (4, 512, 1024)]
)
def test_in_one_dimension_spacings_are_whole_and_layers_fold(shape, rate):
  use = KernelUse("a/kernel", shape, 1, (2,), (100,), (50,))
  rule = WSNetRule()
  target = max(rule.smallest(use), use.size // rate)
  generator = rule.at(use, target)
  assert generator.spacing == int(generator.spacing) >= 1
  assert generator.stored(shape) <= 1.01 * target


def test_a_repetition_that_is_named_is_kept_where_it_divides():
  use = KernelUse("a/kernel", (1, 1, 24, 96))
  assert WSNetRule(4).at(use, 288).repetition == 4
  assert WSNetRule(5).at(use, 288).repetition == 1
  assert WSNetRule().at(use, 288).repetition == 1
  assert WSNetRule(closest=3.0).at(use, 288).repetition > 1


def test_a_density_below_one_is_refused():
  with pytest.raises(UserError, match="density=0"):
    WSNetRule(density=0)


def test_more_filters_than_outputs_are_mixed_by_the_projection():
  generator, shape = WSNet(2, 2, 3), (3, 4, 5)
  assert generator.tensors(shape) == {"condensed": (31, 2), "projection": (15, 5)}
  drawn = np.random.default_rng(0)
  tensors = {
    role: drawn.standard_normal(size).astype(np.float32)
    for role, size in generator.tensors(shape).items()
  }
  kernel = generator.generate(jax.tree.map(jnp.asarray, tensors), {}, shape)
  filters = [
    np.tile(tensors["condensed"][2 * k : 2 * k + 3], (1, 2)) for k in range(15)
  ]
  expected = np.einsum("klm,kn->lmn", filters, tensors["projection"])
  np.testing.assert_allclose(kernel, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_a_denser_layer_folds_with_the_operations_it_says():
  generator, shape = WSNet(2, 1, 2), (5, 4, 6)
  layer = EpitomeConv(features=6, kernel_size=(5,), generator=generator, use_bias=False)
  x = jax.random.normal(jax.random.key(0), (2, 40, 4))
  variables = layer.init(jax.random.key(1), x)
  built = layer.apply(variables, x)
  folded = layer.clone(execution="fold").apply(variables, x)
  np.testing.assert_allclose(folded, built, atol=1e-5)
  use = KernelUse("a/kernel", shape, 1, (1,), (40,), (40,))
  cells = 5 + 11 * 2
  assert generator.stored(shape) == cells * 4 + 12 * 6
  assert generator.cost(use, folded=True).madds == 40 * (cells * 4 + 12 * 6)
