"""Rings and starts: each step lowers what it should, and the price trades for error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_epitome.compression import kernel_error
from neural_epitome.epitome import window_fit
from neural_epitome.epitome.window_fit import Target

METRIC = kernel_error.tap_correlation((3, 3))
MATRICES = {"plain": None, "weighted": METRIC}


def target(seed, size=9, count=400, metric=None):
  rows = np.random.default_rng(seed).normal(size=(count, size))
  return Target(rows.astype(np.float32), metric)


def error(target, fit):
  """The mean squared error of a weight, in the target's metric."""
  left = (target.rows - fit.rows(target.rows.shape[1])).astype(np.float64)
  weighted = left if target.metric is None else left @ target.metric
  return np.sum(weighted * left) / target.rows.size


def bits(starts, length):
  """Entropy of all starts."""
  counts = np.bincount(starts, minlength=length)
  used = counts[counts > 0]
  return float(np.sum(used * np.log2(len(starts) / used)))


@settings(max_examples=8)
@given(
  st.integers(0, 99), st.sampled_from([0.0, 0.05, 0.5]), st.sampled_from([1, 4, 9])
)
def test_no_round_makes_error_and_price_larger(seed, penalty, size):
  goal = target(seed, size)
  ring, before = window_fit.first_ring(goal, 64), np.inf
  lengths = np.full(64, np.log2(64))
  for _ in range(8):
    fit = window_fit.fit(goal, ring, penalty, 1, 32, lengths)
    # What the last step minimised: the ring of before the rounds to come.
    counts = np.bincount(fit.starts, minlength=64)
    now = error(goal, fit) * goal.rows.size + penalty * bits(fit.starts, 64)
    assert now <= before * (1 + 1e-5) + 1e-6
    # A start without windows is longer in the next round than its entropy says.
    ring, before, lengths = fit.ring, now, window_fit.ideal_lengths(counts)


@pytest.mark.parametrize("name", MATRICES)
def test_without_a_penalty_every_window_goes_to_the_nearest(name):
  goal = target(3, metric=MATRICES[name])
  ring = window_fit.first_ring(goal, 100)
  starts = window_fit.assign(goal, ring, np.zeros(100))
  twice, metric = np.concatenate([ring, ring]), np.eye(9) if name == "plain" else METRIC
  table = np.stack([twice[s : s + 9] for s in range(100)])
  left = goal.rows[:, None] - table
  errors = np.einsum("nsi,ij,nsj->ns", left, metric, left)
  np.testing.assert_allclose(
    errors[np.arange(len(starts)), starts], errors.min(1), rtol=1e-4, atol=1e-4
  )


@pytest.mark.parametrize("name", MATRICES)
def test_a_larger_penalty_takes_fewer_bits_and_leaves_more_error(name):
  goal = target(4, metric=MATRICES[name], count=1500)
  ring = window_fit.first_ring(goal, 128)
  fits = [window_fit.fit(goal, ring, p, 10) for p in (0.0, 0.1, 0.5, 2.0)]
  taken = [bits(fit.starts, 128) for fit in fits]
  left = [error(goal, fit) for fit in fits]
  assert taken == sorted(taken, reverse=True)
  assert left == sorted(left)
  assert taken[-1] < 0.5 * taken[0]
  assert left[-1] > 1.3 * left[0]


def test_what_counts_together_is_fitted_better_when_it_is_said():
  weighted = target(5, metric=METRIC, count=1500)
  ring = window_fit.first_ring(weighted, 128)
  plain = window_fit.fit(Target(weighted.rows), ring, 0.0, 12)
  assert error(weighted, window_fit.fit(weighted, ring, 0.0, 12)) < 0.95 * error(
    weighted, plain
  )


@pytest.mark.parametrize("name", MATRICES)
def test_a_ring_that_made_the_windows_is_recovered_from_one_that_is_near(name):
  random = np.random.default_rng(6)
  ring = random.normal(size=40).astype(np.float32)
  starts = random.integers(40, size=600)
  goal = Target(window_fit.Fit(ring, starts).rows(9), MATRICES[name])
  near = (ring + 0.1 * random.normal(size=40)).astype(np.float32)
  fit = window_fit.fit(goal, near, 0.0, 10, bits=32)
  np.testing.assert_array_equal(fit.starts, starts)
  np.testing.assert_allclose(fit.ring, ring, atol=1e-3)


@pytest.mark.parametrize(("bits", "most"), [(32, 1e-7), (16, 1e-3), (8, 8e-3)])
def test_the_ring_is_one_of_its_bits(bits, most):
  goal = target(7, size=2)
  fit = window_fit.fit(goal, window_fit.first_ring(goal, 30), 0.0, 3, bits)
  if bits == 16:
    np.testing.assert_array_equal(fit.ring, fit.ring.astype(np.float16))
  if bits == 8:
    assert len(np.unique(fit.ring)) <= 255
    steps = fit.ring * 127 / np.abs(fit.ring).max()
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
  whole = window_fit.fit(goal, window_fit.first_ring(goal, 30), 0.0, 3, 32)
  assert np.abs(fit.ring - whole.ring).max() <= most * np.abs(whole.ring).max()


@given(st.integers(0, 9), st.integers(1, 12))
def test_lengths_are_those_of_an_ideal_code(seed, symbols):
  counts = np.random.default_rng(seed).integers(1, 50, symbols)
  lengths = window_fit.ideal_lengths(counts)
  assert np.sum(2.0**-lengths) == pytest.approx(1.0)
  share = counts / counts.sum()
  assert lengths @ share == pytest.approx(-share @ np.log2(share))
