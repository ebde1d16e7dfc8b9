"""Error feedback: what is counted is the output's error, and later inputs make up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_epitome.epitome import error_feedback, window_fit, windows
from neural_epitome.epitome.error_feedback import Inputs

RANDOM = np.random.default_rng(0)
# Of kernels and their windows: along taps, along inputs (the last juts out), single
# weights, along outputs (likewise).
KINDS = {
  "taps": ((3, 3, 8, 12), (3, 3, 1, 1)),
  "inputs": ((30, 12), (8, 1)),
  "palette": ((2, 9, 10), (1, 1, 1)),
  "outputs": ((20, 14), (1, 4)),
}


def moments(size, seed=0, alike=0.8, examples=4000):
  """Of inputs that share a part."""
  random = np.random.default_rng(seed)
  own, shared = (random.normal(size=(examples, n)) for n in (size, 2))
  x = np.sqrt(1 - alike) * own + np.sqrt(alike) * shared @ random.normal(size=(2, size))
  return (x.T @ x / examples).astype(np.float32)


def kernel_and_ring(shape, extents, seed=0, length=64):
  random = np.random.default_rng(seed)
  kernel = random.normal(size=shape).astype(np.float32)
  return kernel, random.normal(size=length).astype(np.float32)


def made(kernel, extents, ring, starts):
  where = error_feedback.places_read(kernel.shape, extents, starts, len(ring))
  return ring[where].reshape(kernel.shape)


def nearest(kernel, extents, ring):
  """Without feedback."""
  rows = windows.apart(kernel, extents).astype(np.float32)
  target = window_fit.Target(rows)
  return window_fit.assign(target, ring, np.zeros(len(ring)))


def loss(inputs, kernel, other):
  return inputs.energy((kernel - other).reshape(-1, kernel.shape[-1]))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 99))
def test_outputs_of_correlated_inputs_lose_less_with_feedback(kind, seed):
  shape, extents = KINDS[kind]
  inputs = Inputs(moments(int(np.prod(shape[:-1])), seed))
  kernel, ring = kernel_and_ring(shape, extents, seed)
  free = np.zeros(len(ring))
  fed = error_feedback.assign(inputs, kernel, extents, ring, free)
  alone = nearest(kernel, extents, ring)
  with_, without = (
    loss(inputs, kernel, made(kernel, extents, ring, s)) for s in (fed, alone)
  )
  assert with_ < 0.8 * without


@pytest.mark.parametrize("kind", ["taps", "inputs", "palette"])
def test_of_inputs_that_have_nothing_in_common_nothing_changes(kind):
  shape, extents = KINDS[kind]
  inputs = Inputs(np.eye(int(np.prod(shape[:-1])), dtype=np.float32))
  kernel, ring = kernel_and_ring(shape, extents)
  # Where windows jut out, what they have too much is not counted here.
  inner = tuple(n - n % e for n, e in zip(shape, extents, strict=True))
  if inner != shape:
    kernel = kernel[tuple(map(slice, inner))]
    inputs = Inputs(np.eye(int(np.prod(inner[:-1])), dtype=np.float32))
  fed = error_feedback.assign(inputs, kernel, extents, ring, np.zeros(len(ring)))
  np.testing.assert_array_equal(fed, nearest(kernel, extents, ring))


@pytest.mark.parametrize("kind", KINDS)
def test_the_ring_and_the_scales_make_the_loss_smaller(kind):
  shape, extents = KINDS[kind]
  inputs = Inputs(moments(int(np.prod(shape[:-1]))))
  kernel, ring = kernel_and_ring(shape, extents)
  starts = error_feedback.assign(inputs, kernel, extents, ring, np.zeros(len(ring)))
  before = loss(inputs, kernel, made(kernel, extents, ring, starts))
  one = np.ones(1, np.float32)
  ring = error_feedback.nearest_ring(inputs, kernel, extents, starts, ring, one)
  other = made(kernel, extents, ring, starts)
  after = loss(inputs, kernel, other)
  assert after < 0.9 * before
  rows, read = (a.reshape(-1, shape[-1]) for a in (kernel, other))
  for each in (True, False):
    scaled = read * inputs.projection(rows, read, each)
    assert inputs.energy(rows - scaled) <= after * (1 + 1e-5)


def test_a_price_of_bits_makes_frequent_starts_more_frequent():
  shape, extents = KINDS["taps"]
  inputs = Inputs(moments(72))
  kernel, ring = kernel_and_ring(shape, extents)
  lengths = window_fit.ideal_lengths(np.arange(len(ring)))
  bits = [
    np.sum(
      lengths[error_feedback.assign(inputs, kernel, extents, ring, price * lengths)]
    )
    for price in (0.0, 0.3, 3.0)
  ]
  assert bits[0] > bits[1] > bits[2]


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_inputs_that_are_zeros_or_all_the_same_do_no_harm(value):
  inputs = Inputs(np.full((18, 18), value, np.float32))
  kernel, ring = kernel_and_ring((3, 3, 2, 5), (3, 3, 1, 1))
  starts = error_feedback.assign(
    inputs, kernel, (3, 3, 1, 1), ring, np.zeros(len(ring))
  )
  assert np.isfinite(made(kernel, (3, 3, 1, 1), ring, starts)).all()
  zeros = np.zeros((18, 5), np.float32)
  assert np.all(inputs.projection(kernel.reshape(18, 5), zeros, each=True) == 1)
