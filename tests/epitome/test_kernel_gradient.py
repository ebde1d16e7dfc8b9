"""The gradient in parts is that of XLA, for any batch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from neural_epitome.epitome import convolution, kernel_gradient
from neural_epitome.epitome.padding import canonical

CONVOLVE = functools.partial(
  lax.conv_general_dilated,
  window_strides=(2, 1),
  padding="SAME",
  dimension_numbers=("NHWC", "HWIO", "NHWC"),
)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 7, 12])
def test_gradients_are_those_of_the_convolution(batch, monkeypatch):
  x = jax.random.normal(jax.random.key(0), (batch, 9, 8, 3))
  kernel = jax.random.normal(jax.random.key(1), (3, 3, 3, 5))
  # Four images a part.
  monkeypatch.setattr(kernel_gradient, "_PART", 4 * x.nbytes // batch)

  def loss(convolve, x, kernel):
    return jnp.sum(jnp.sin(convolve(x, kernel)))

  parts = functools.partial(kernel_gradient.convolve, CONVOLVE)
  actual, expected = (
    jax.grad(functools.partial(loss, convolve), argnums=(0, 1))(x, kernel)
    for convolve in (parts, CONVOLVE)
  )
  for one, other in zip(actual, expected, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_parts_divide_the_batch_and_fit():
  def images(batch):
    return jax.ShapeDtypeStruct((batch, 32, 32, 48), jnp.float32)

  for batch, part in ((100, 10), (64, 8), (97, 1), (2, 2)):
    assert kernel_gradient._part(images(batch)) == part


@pytest.mark.slow
def test_large_activations_alone_take_parts():
  kernel = jnp.zeros((3, 3, 1, 2))

  def backward(batch):
    x = jnp.zeros((batch, 64, 512, 1))

    def loss(kernel):
      y = convolution.convolve(
        x,
        kernel,
        strides=(1, 1),
        padding=canonical("SAME", (3, 3), (1, 1)),
        kernel_dilation=(1, 1),
        feature_group_count=1,
      )
      return jnp.sum(y**2)

    return str(jax.make_jaxpr(jax.grad(loss))(kernel)).count("conv_general_dilated[")

  assert backward(8) == backward(97) == 2
  # Forward, and five parts of 16 images.
  assert backward(80) >= 6
