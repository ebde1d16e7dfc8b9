"""Product map and integral map equal the convolution they replace."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_epitome.epitome import integral
from neural_epitome.epitome.generators import WSNet
from neural_epitome.epitome.geometry import Application


@pytest.mark.slow
@given(
  length=st.integers(1, 5),
  spacing=st.integers(1, 4),
  filters=st.integers(1, 5),
  channels=st.integers(1, 4),
  strides=st.integers(1, 3),
  padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
  extra=st.integers(0, 9),
)
def test_integral_map_equals_direct_convolution(
  length, spacing, filters, channels, strides, padding, extra
):
  keys = jax.random.split(jax.random.key(0))
  x = jax.random.normal(keys[0], (2, length + extra, channels))
  condensed = jax.random.normal(keys[1], (length + (filters - 1) * spacing, channels))
  windows = [condensed[n * spacing : n * spacing + length] for n in range(filters)]
  kernel = jnp.stack(windows, axis=-1)
  direct = jax.lax.conv_general_dilated(
    x, kernel, (strides,), [padding], dimension_numbers=("NWC", "WIO", "NWC")
  )
  convolve = jax.jit(
    functools.partial(
      integral.convolve,
      length=length,
      spacing=spacing,
      filters=filters,
      strides=strides,
      padding=padding,
    )
  )
  reused = convolve(x, condensed)
  np.testing.assert_allclose(reused, direct, atol=2e-5, rtol=1e-5)


def test_integral_map_is_the_running_sum_along_diagonals():
  products = jnp.arange(12.0).reshape(1, 3, 4)
  integral_map = integral.integral_map(products)[0]
  for t in range(3):
    for v in range(4):
      steps = range(min(t, v) + 1)
      expected = sum(float(products[0, t - i, v - i]) for i in steps)
      assert integral_map[t + 1, v + 1] == expected


@pytest.mark.slow
@given(repetition=st.sampled_from([1, 2, 3]), spacing=st.integers(1, 3))
def test_wsnet_folded_equals_its_kernel_built_in_full(repetition, spacing):
  generator, shape = WSNet(spacing, repetition), (5, 6, 4)
  generator.check(shape)
  initializer = jax.nn.initializers.lecun_normal()
  tensors = generator.init(jax.random.key(0), shape, {}, initializer)
  x = jax.random.normal(jax.random.key(1), (2, 17, 6))
  application = Application((2,), ((2, 2),), (1,))
  kernel = generator.generate(tensors, {}, shape)
  assert kernel.shape == shape
  fold = jax.jit(lambda x, t: generator.fold(x, t, {}, shape, application))
  np.testing.assert_allclose(
    fold(x, tensors),
    application(x, kernel),
    atol=2e-5,
    rtol=1e-5,
  )
