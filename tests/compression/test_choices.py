"""The ways to store a kernel: what `compare` expects is what `store` gets."""

import math

import numpy as np
import pytest

from neural_epitome.compression import (
  choices,
  hull,
  kernel_error,
  output_scales,
  window_shapes,
)
from neural_epitome.epitome import rounding, windows
from neural_epitome.epitome.generators import Dense, LowRank, WindowedEpitome


def normal(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def smooth(*shape):
  """Neighbours along the first axis are alike."""
  kernel = normal(*shape)
  for i in range(1, shape[0]):
    kernel[i] = 0.8 * kernel[i - 1] + 0.6 * kernel[i]
  return kernel


KERNELS = {
  "taps": normal(3, 3, 24, 40),
  "dense": normal(96, 64),
  "smooth": smooth(40, 8, 24),
}


@pytest.fixture(scope="module", params=KERNELS)
def compared(request):
  """A kernel and its choices."""
  return KERNELS[request.param], choices.compare(KERNELS[request.param])


@pytest.mark.slow
def test_storing_a_kernel_is_hardly_worse_than_comparing_said(compared):
  kernel, every = compared
  kept = hull.lower(every)
  sizes, errors = [c.nbytes for c in kept], [c.error for c in kept]
  for choice in kept:
    exact = choices.store(kernel, choice).choice
    # More rounds go on towards fewer bits, along the hull.
    assert exact.error <= 1.1 * np.interp(exact.nbytes, sizes, errors) + 1e-9
    assert exact.nbytes <= 1.03 * choice.nbytes + 200


@pytest.mark.slow
def test_on_the_hull_more_bytes_leave_less_error_and_every_byte_gains_less(compared):
  _, every = compared
  kept = hull.lower(every)
  sizes, errors = [c.nbytes for c in kept], [c.error for c in kept]
  assert sizes == sorted(sizes)
  assert errors == sorted(errors, reverse=True)
  slopes = np.diff(errors) / np.diff(sizes)
  assert np.all(np.diff(slopes) > 0)
  # No choice lies below it.
  for choice in every:
    if choice.nbytes >= sizes[0]:
      assert choice.error >= np.interp(choice.nbytes, sizes, errors) - 1e-9


@pytest.mark.slow
def test_what_is_stored_makes_the_kernel_with_its_error(compared):
  kernel, every = compared
  for choice in hull.lower(every)[::3]:
    stored = choices.store(kernel, choice)
    generator = stored.choice.generator
    generator.check(kernel.shape)
    if isinstance(generator, (Dense, LowRank)):
      continue  # these are rounded when they are written
    starts = {axis: value.astype(np.int32) for axis, value in stored.offsets.items()}
    generated = np.asarray(
      generator.generate(dict(stored.tensors), starts, kernel.shape)
    )
    assert kernel_error.error(kernel, generated) == pytest.approx(
      stored.choice.error, rel=1e-3
    )


def test_the_error_is_a_share_of_each_output_and_zero_of_zeros():
  kernel = normal(3, 3, 8, 12)
  assert kernel_error.error(kernel, kernel) == 0
  assert kernel_error.error(kernel, 0 * kernel) == pytest.approx(1.0, rel=1e-5)
  assert kernel_error.error(0 * kernel, 0 * kernel) == 0
  scale = np.exp(normal(12))
  other = kernel + 0.1 * normal(3, 3, 8, 12, seed=1)
  assert kernel_error.error(kernel * scale, other * scale) == pytest.approx(
    kernel_error.error(kernel, other), rel=1e-4
  )


def test_neighbouring_taps_count_together():
  assert kernel_error.tap_correlation(()) == np.ones((1, 1))
  metric = kernel_error.tap_correlation((3, 2))
  np.testing.assert_allclose(metric, metric.T)
  assert np.linalg.eigvalsh(metric).min() > 0
  # In row-major order: (0, 0) and (2, 1) are three steps apart.
  assert metric[0, 5] == pytest.approx(kernel_error.SMOOTHNESS**3)
  kernel = np.ones((3, 2, 1, 1), np.float32)
  difference = np.zeros_like(kernel)
  difference[0, :, 0, 0] = [0.1, 0.1]
  alike = kernel_error.error(kernel, kernel + difference)
  difference[0, 1] *= -1
  assert kernel_error.error(kernel, kernel + difference) < 0.5 * alike


def test_a_window_lies_along_the_axis_whose_neighbours_are_alike():
  extents = {
    g.window
    for g in window_shapes.generators(smooth(40, 8, 24))
    if math.prod(g.window) > 1
  }
  assert extents
  assert all(window[1:] == (1, 1) for window in extents)
  kernel = np.moveaxis(smooth(40, 8, 24), 0, -1)
  outputs = [g for g in window_shapes.generators(kernel) if math.prod(g.window) > 1]
  assert all(g.window[:2] == (1, 1) and not g.scaled for g in outputs)
  for generator in outputs:
    generator.check(kernel.shape)


def test_a_large_kernel_is_compared_by_a_part_of_its_outputs():
  kernel = normal(400, 1000)
  sample = kernel[..., choices._sample(kernel)]
  assert sample.shape[0] == 400
  assert 100_000 < sample.size <= 160_000
  assert choices._sample(KERNELS["dense"]) == slice(0, 64)


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 1e6, 1e25])
def test_scales_are_of_float16_and_bring_the_windows_back(scale):
  kernel = normal(24, 16) * np.float32(scale)
  kernel[:, 3] *= 1e-3
  for generator in (
    WindowedEpitome(64, (4, 1)),
    WindowedEpitome(64, (2, 4), scaled=False),
  ):
    rows, scales, gain = output_scales.normalised(kernel, generator)
    assert 0.7 < np.var(rows) < 1.3
    np.testing.assert_array_equal(scales, scales.astype(np.float16))
    again = windows.together(rows, kernel.shape, generator.window)
    np.testing.assert_allclose(again * scales * gain, kernel, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("scaled", [True, False])
def test_outputs_of_a_coarse_kernel_do_not_shrink(scaled):
  random = np.random.default_rng(0)
  kernel = random.normal(size=(64, 96)).astype(np.float32) * random.uniform(1, 9, 96)
  kernel = kernel.astype(np.float32)
  table = choices.compare(kernel)
  coarse = [
    candidate
    for candidate in table
    if isinstance(candidate.generator, WindowedEpitome)
    and candidate.generator.scaled == scaled
  ]
  if not coarse:
    pytest.skip("no such generator is tried")
  choice = min(coarse, key=lambda candidate: abs(candidate.error - 0.1))
  stored = choices.store(kernel, choice)
  generated = stored.choice.generator.generate(
    {role: np.asarray(t) for role, t in stored.tensors.items()},
    {axis: np.asarray(m, np.int32) for axis, m in stored.offsets.items()},
    kernel.shape,
  )
  axes = 0 if scaled else None
  explained = np.sum(kernel * generated, axes) / np.sum(kernel**2, axes)
  # What is larger than it was is not made smaller.
  assert np.min(explained) > 1 - 2e-3
  assert np.max(explained) < 1.01


@pytest.mark.slow
def test_of_normal_weights_one_bit_may_be_the_best():
  kernel = normal(256, 10)
  [one] = [
    choice
    for choice in hull.lower(choices.compare(kernel))
    if isinstance(choice.generator, Dense) and choice.bits == 1
  ]
  assert one.nbytes == 256 * 10 / 8 + 4 * 10
  # Of a normal distribution, sign and mean magnitude explain 2 / pi; outputs get their
  # size back, and when they are stored a little less.
  assert one.error == pytest.approx(np.pi / 2 - 1, abs=0.05)
  stored = choices.store(kernel, one)
  made = np.asarray(rounding.straight_through(stored.tensors["kernel"], 1))
  assert stored.choice.error == pytest.approx(kernel_error.error(kernel, made))
  assert 0.45 < stored.choice.error < one.error
