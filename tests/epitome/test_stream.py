"""What is carried wrapped reads as the full activation wrapped."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome.epitome import convolution, folding, stream
from neural_epitome.epitome.geometry import Application
from neural_epitome.epitome.stream import Replicated

CELLS = 6


def draw(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def replicated(channels, seed, behind=0):
  narrow = stream.zeros_behind(jnp.asarray(draw(2, 3, CELLS, seed=seed)), -1, behind)
  narrow = Replicated(narrow, channels, CELLS)
  return narrow.scaled(draw(channels, seed=seed + 1), draw(channels, seed=seed + 2))


@pytest.mark.parametrize("behind", [CELLS, 8])
# The last of the copies whole, cut, or the only one.
@pytest.mark.parametrize("channels", [12, 16, 6])
def test_a_sum_of_streams_and_activations_reads_wrapped_as_its_full_form(
  channels, behind
):
  x = replicated(channels, 0, behind) + draw(2, 3, channels, seed=9)
  x = jnp.asarray(draw(2, 3, channels, seed=10)) + x
  x = replicated(channels, 20, CELLS) + x
  full, carried = x.full(), x.wrapped(CELLS)
  assert full.shape == x.shape == (2, 3, channels)
  assert carried.shape == (2, 3, behind)
  np.testing.assert_allclose(
    carried[..., :CELLS], stream.wrap(full, CELLS), rtol=1e-5, atol=1e-5
  )
  assert not np.any(carried[..., CELLS:])
  # A reader of other cells finds them in the full form.
  np.testing.assert_allclose(x.wrapped(4), stream.wrap(full, 4), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cells", [1, 2, 7, 20, 41])
def test_wrapping_adds_up_the_blocks_however_many(cells):
  x = draw(2, 3, 41)
  padded = np.pad(x, [(0, 0), (0, 0), (0, -41 % cells)])
  expected = padded.reshape(2, 3, -1, cells).sum(2)
  wrapped = stream.wrap(jnp.asarray(x), cells)
  np.testing.assert_allclose(wrapped, expected, rtol=1e-5, atol=1e-5)


def test_scaling_twice_is_scaling_by_both():
  x = Replicated(jnp.asarray(draw(2, CELLS)), 12, CELLS)
  scales, shifts = draw(2, 12, seed=1), draw(2, 12, seed=2)
  once = x.scaled(scales[0], shifts[0])
  expected = (np.tile(draw(2, CELLS), 2) * scales[0] + shifts[0]) * scales[1]
  np.testing.assert_allclose(
    once.scaled(scales[1], shifts[1]).full(), expected + shifts[1], rtol=1e-5, atol=1e-6
  )
  np.testing.assert_allclose(
    once.scaled(scales[1], None).full(), expected, rtol=1e-5, atol=1e-6
  )


@pytest.mark.parametrize("least", [1, 16])
def test_layers_behind_each_other_never_make_what_is_between_them(least):
  application = Application.of_convolution((1, 1))
  writing = dataclasses.replace(application, streams=True)
  x = jnp.asarray(draw(2, 4, 4, 24))
  first, second = draw(1, 1, 24, CELLS, seed=3), draw(1, 1, CELLS, 30, seed=4)
  shapes = (1, 1, 24, 18), (1, 1, 18, 30)
  whole = folding.fold(x, first, {}, shapes[0], application)
  expected = folding.fold(whole, second, {}, shapes[1], application)
  with convolution.spelled("convolution", least=least):
    carried = folding.fold(x, first, {}, shapes[0], writing)
    made = []
    carried.full = lambda: made.append("full")
    folded = folding.fold(carried, second, {}, shapes[1], application)
  assert not made
  assert carried.wrapped(CELLS).shape[-1] == max(CELLS, least)
  np.testing.assert_allclose(folded, expected, rtol=1e-4, atol=1e-4)


def test_offsets_are_no_stream():
  application = Application.of_convolution((1, 1))
  application = dataclasses.replace(application, streams=True)
  x, epitome = jnp.asarray(draw(2, 4, 4, 24)), draw(1, 1, 24, CELLS, seed=3)
  offsets = {"output": jnp.array([0.0, 2.0])}
  y = folding.fold(x, epitome, offsets, (1, 1, 24, 12), application)
  assert y.shape == (2, 4, 4, 12)
  assert not isinstance(y, stream.Stream)
