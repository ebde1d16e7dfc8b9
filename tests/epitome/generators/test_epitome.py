"""Scaled epitomes: each block of the kernel has a factor of its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from neural_epitome.epitome.generators import Epitome
from neural_epitome.epitome.geometry import Application, KernelUse


def drawn(generator, shape, seed=0):
  tensors, offsets = generator.tensors(shape), generator.offsets(shape)
  keys = iter(jax.random.split(jax.random.key(seed), len(tensors) + len(offsets)))
  return (
    {role: jax.random.normal(next(keys), size) for role, size in tensors.items()},
    {axis: 9.0 * jax.random.uniform(next(keys), s) for axis, s in offsets.items()},
  )


def test_a_scaled_tile_is_a_kronecker_product():
  generator = Epitome((3, 4), "tile", scaled=True)
  tensors, _ = drawn(generator, (6, 12))
  assert tensors["scale"].shape == (2, 3)
  kernel = generator.generate(tensors, {}, (6, 12))
  expected = np.kron(tensors["scale"], tensors["epitome"])
  np.testing.assert_allclose(kernel, expected, rtol=1e-6)
  assert np.linalg.matrix_rank(np.asarray(kernel)) == 6


@pytest.mark.slow
@pytest.mark.parametrize("routing", ["tile", "factorised", "blockwise"])
@pytest.mark.parametrize(("inputs", "outputs"), [(3, 7), (7, 2), (3, 4), (7, 7)])
def test_scales_multiply_their_own_block_only(routing, inputs, outputs):
  shape, stored = (2, 7, 7), (2, inputs, outputs)
  plain, scaled = Epitome(stored, routing), Epitome(stored, routing, scaled=True)
  tensors, offsets = drawn(scaled, shape)
  kernel = scaled.generate(tensors, offsets, shape)
  unscaled = {"epitome": tensors["epitome"]}
  expected = np.array(plain.generate(unscaled, offsets, shape))
  if "scale" not in tensors:
    assert (inputs, outputs) == (7, 7)
  else:
    for row, factors in enumerate(np.asarray(tensors["scale"])):
      for column, factor in enumerate(factors):
        rows = slice(row * inputs, (row + 1) * inputs)
        columns = slice(column * outputs, (column + 1) * outputs)
        expected[:, rows, columns] *= factor
  np.testing.assert_allclose(kernel, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("stored", [(3, 8), (7, 5)])
@pytest.mark.parametrize("routing", ["tile", "factorised"])
def test_scales_along_one_axis_fold(stored, routing):
  shape = (3, 7, 8)
  generator = Epitome((3, *stored), routing, scaled=True)
  tensors, offsets = drawn(generator, shape)
  application = Application((2,), ((1, 1),), (1,), 1)
  x = jax.random.normal(jax.random.key(3), (2, 9, 7))
  folded = generator.fold(x, tensors, offsets, shape, application)
  expected = application(x, generator.generate(tensors, offsets, shape))
  np.testing.assert_allclose(folded, expected, rtol=1e-5, atol=1e-5)


def test_scales_along_both_axes_do_not_fold_and_are_not_priced_as_if_they_did():
  shape = (1, 8, 8)
  generator = Epitome((1, 4, 4), "tile", scaled=True)
  tensors, offsets = drawn(generator, shape)
  application = Application((1,), ((0, 0),), (1,), 1)
  x = jnp.ones((1, 5, 8))
  assert generator.fold(x, tensors, offsets, shape, application) is None
  use = KernelUse("layer/kernel", shape, input_size=(5,), output_size=(5,))
  assert generator.cost(use, folded=True).madds == 5 * 64
  assert generator.cost(use).stored == 16 + 4


def test_folded_scales_cost_a_multiplication_an_element():
  use = KernelUse("layer/kernel", (1, 8, 6), input_size=(10,), output_size=(5,))
  plain, scaled = (Epitome((1, 2, 6), "tile", scaled=s) for s in (False, True))
  more = scaled.cost(use, folded=True).madds - plain.cost(use, folded=True).madds
  assert more == 8 * 10


def test_scales_start_as_signs_and_keep_the_variance():
  generator, shape = Epitome((32, 32), "tile", scaled=True), (128, 128)
  initializer = nn.initializers.lecun_normal()
  tensors = generator.init(jax.random.key(0), shape, {}, initializer)
  assert set(np.unique(tensors["scale"])) == {-1.0, 1.0}
  kernel = generator.generate(tensors, {}, shape)
  np.testing.assert_allclose(np.var(kernel), 1 / 128, rtol=0.15)
