"""Quantised kernels: the grid, the gradient, the bytes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_epitome.epitome.generators import Epitome, Quantised
from neural_epitome.epitome.layers import EpitomeConv

KERNEL = jax.random.normal(jax.random.key(0), (3, 3, 4, 6))


@given(st.integers(2, 8), st.integers(0, 100))
def test_each_channel_is_integers_times_its_scale_nearest_to_the_kernel(bits, seed):
  kernel = jax.random.normal(jax.random.key(seed), (3, 4, 6)) * 0.1
  kernel = kernel.at[..., 0].set(0.0)
  found = np.asarray(Quantised(bits).generate({"kernel": kernel}, {}, kernel.shape))
  most = 2 ** (bits - 1) - 1
  scale = np.abs(np.asarray(kernel)).max(axis=(0, 1)) / most
  assert np.all(found[..., 0] == 0)
  integers = found[..., 1:] / scale[1:]
  np.testing.assert_allclose(integers, np.round(integers), atol=1e-2)
  assert np.abs(integers).max() < most + 0.5
  assert np.all(np.abs(found - kernel) <= 0.501 * scale)


def test_the_gradient_passes_straight_through():
  cotangent = jax.random.normal(jax.random.key(1), KERNEL.shape)

  def weighted(kernel):
    return jnp.sum(
      Quantised(4).generate({"kernel": kernel}, {}, kernel.shape) * cotangent
    )

  np.testing.assert_array_equal(jax.grad(weighted)(KERNEL), cotangent)


@pytest.mark.parametrize(("bits", "expected"), [(8, 216 + 24), (4, 108 + 24)])
def test_bytes_are_those_of_integers_and_scales(bits, expected):
  generator = Quantised(bits)
  assert generator.stored_bytes(KERNEL.shape) == expected
  assert generator.stored(KERNEL.shape) == 216 + 6


def test_an_epitome_is_rounded_and_not_the_kernel_made_of_it():
  epitome = Epitome((3, 3, 4, 3), "tile", scaled=True)
  generator, shape = Quantised(4, epitome), (3, 3, 4, 6)
  x = jax.random.normal(jax.random.key(0), (2, 7, 7, 4))
  layer = EpitomeConv(
    features=6, kernel_size=(3, 3), generator=generator, use_bias=False
  )
  variables = layer.init(jax.random.key(1), x)
  tensors = variables["params"]
  rounded = Quantised(4).generate({"kernel": tensors["epitome"]}, {}, (3, 3, 4, 3))
  expected = epitome.generate(tensors | {"epitome": rounded}, {}, shape)
  found = generator.generate(tensors, {}, shape)
  np.testing.assert_array_equal(found, expected)
  folded = layer.clone(execution="fold").apply(variables, x)
  np.testing.assert_allclose(folded, layer.apply(variables, x), atol=1e-5)
  # 108 numbers of four bits; three factors and two block scales of 32.
  assert generator.stored_bytes(shape) == 54 + 4 * 3 + 4 * 2
  assert generator.stored(shape) == 108 + 3 + 2
