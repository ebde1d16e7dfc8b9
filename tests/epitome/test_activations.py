"""What layers read is what is measured, whatever their form."""

import jax
import numpy as np
import pytest
from flax import linen as nn

from neural_epitome.epitome import activations
from neural_epitome.epitome.layers import EpitomeConv, EpitomeDense
from neural_epitome.errors import UserError

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(2, 6, 6, 8)).astype(np.float32)


class Net(nn.Module):
  """Every kind of layer, each reading the images."""

  @nn.compact
  def __call__(self, x):
    """(batch, height, width, 8) -> None."""
    nn.Conv(4, (3, 3), name="conv")(x)
    nn.Conv(4, (3, 3), feature_group_count=2, name="grouped")(x)
    nn.DenseGeneral(5, axis=(-2, -1), name="general")(x)
    nn.DenseGeneral(5, axis=1, name="first_axis")(x)
    twice = nn.Dense(3, name="twice")
    twice(x)
    twice(2 * x)
    EpitomeConv(
      features=4, kernel_size=(3, 3), feature_group_count=2, name="epitome_conv"
    )(x)
    EpitomeDense(features=4, name="epitome_dense")(inputs=x)
    nn.ConvTranspose(4, (3, 3), name="transposed")(x)


@pytest.mark.slow
def test_the_mean_square_of_each_input_of_every_layer_is_told():
  model = Net()
  variables = model.init(jax.random.key(0), IMAGES)

  def call(x):
    return model.apply(variables, x)

  importance = activations.input_importance(call, [IMAGES, 3 * IMAGES])
  one = np.mean(np.square(IMAGES), (0, 1, 2)) * (1 + 9) / 2
  wide = np.mean(np.square(IMAGES), (0, 1)).reshape(-1) * (1 + 9) / 2
  expected = {
    "conv/kernel": one,
    "grouped/kernel": (one[:4] + one[4:]) / 2,
    "general/kernel": wide,
    "twice/kernel": one * (1 + 4) / 2,
    "epitome_conv/kernel": (one[:4] + one[4:]) / 2,
    "epitome_dense/kernel": one,
  }
  assert importance.keys() == expected.keys()
  for name, value in importance.items():
    np.testing.assert_allclose(value, expected[name], rtol=1e-5)


def test_a_layer_that_reads_what_is_not_finite_is_named():
  model = nn.Dense(3, name="last")
  variables = model.init(jax.random.key(0), IMAGES)
  with pytest.raises(UserError, match="kernel reads infinite numbers or NaN"):
    activations.input_importance(
      lambda x: model.apply(variables, x), [IMAGES, np.full_like(IMAGES, np.inf)]
    )


@pytest.mark.parametrize("batches", [[], [IMAGES]])
def test_what_was_never_seen_is_told(batches):
  model = nn.Dense(3)
  variables = model.init(jax.random.key(0), IMAGES)
  call = jax.jit(lambda x: model.apply(variables, x))
  with pytest.raises(UserError, match=r"call a Linen model, outside jax\.jit"):
    activations.input_importance(call, batches)


def unshrunk(moments, count):
  """See `columns.Moments.mean`."""
  own = np.diag(np.diag(moments))
  return own + (moments - own) * (1 + len(moments) / (10 * count))


class Convolutions(nn.Module):
  """Of every kind that changes what is read."""

  @nn.compact
  def __call__(self, x):
    """(batch, 6, 6, 8) -> None."""
    nn.Conv(5, (3, 2), name="same", use_bias=False)(x)
    nn.Conv(5, (3, 3), strides=2, padding="VALID", name="valid", use_bias=False)(x)
    options = {"kernel_dilation": (2, 1), "padding": ((1, 2), (0, 1))}
    nn.Conv(5, (2, 3), name="dilated", use_bias=False, **options)(x)
    nn.Conv(5, (3, 3), padding="CIRCULAR", name="circular", use_bias=False)(x)
    EpitomeConv(5, (3, 3), strides=2, name="epitome", use_bias=False)(x)
    nn.Dense(5, name="dense", use_bias=False)(x)


@pytest.mark.slow
def test_second_moments_tell_the_mean_square_of_what_any_kernel_makes():
  model = Convolutions()
  variables = model.init(jax.random.key(0), IMAGES)
  found = activations.input_moments(lambda x: model.apply(variables, x), [IMAGES])
  _, state = model.apply(variables, IMAGES, capture_intermediates=True)
  assert found.keys() == {f"{name}/kernel" for name in variables["params"]}
  for name, moments in found.items():
    layer = name.removesuffix("/kernel")
    kernel = np.asarray(variables["params"][layer]["kernel"])
    rows = kernel.reshape(-1, kernel.shape[-1])
    [outputs] = state["intermediates"][layer]["__call__"]
    expected = np.mean(np.square(outputs), axis=tuple(range(outputs.ndim - 1)))
    whole = unshrunk(moments, outputs.size // outputs.shape[-1])
    np.testing.assert_allclose(
      np.einsum("io,ij,jo->o", rows, whole, rows), expected, rtol=1e-4
    )


def test_second_moments_of_groups_are_their_mean():
  model = nn.Conv(4, (1, 1), feature_group_count=2, name="grouped")
  variables = model.init(jax.random.key(0), IMAGES)
  found = activations.input_moments(lambda x: model.apply(variables, x), [IMAGES])
  halves = IMAGES.reshape(-1, 4)
  np.testing.assert_allclose(
    unshrunk(found["kernel"], len(halves)),
    halves.T @ halves / len(halves),
    rtol=1e-4,
    atol=1e-6,
  )
