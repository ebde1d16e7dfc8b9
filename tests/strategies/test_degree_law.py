"""The law of FLASH is found from points that it made, and learns what options give."""

import numpy as np
import pytest
from scipy import optimize, stats

from neural_epitome.strategies import degree_law
from neural_epitome.strategies.degree_law import DegreeLaw

COUNTS = (4, 2, 3, 4)
STARTS = np.cumsum((0, *COUNTS[:-1]))
FIRM, LOOSE = 1e6, 0.1


def drawn(count, seed=0):
  return np.random.default_rng(seed).integers(COUNTS, size=(count, len(COUNTS)))


def law(seed=0, a=1.1, b=2.0, c=-2.5):
  capacity = np.random.default_rng(seed).uniform(0.1, 0.4, sum(COUNTS))
  return DegreeLaw(a, b, c, capacity, STARTS)


@pytest.mark.parametrize(("a", "b", "c"), [(1.1, 2.0, -2.5), (1.3, 3.0, -4.0)])
def test_the_parameters_of_a_law_are_found_from_twenty_five_points(a, b, c):
  truth, options = law(a=a, b=b, c=c), drawn(25)
  measured = truth.accuracy(truth.degree(options))
  found = degree_law.fitted(options, measured, COUNTS, truth.capacity, FIRM)
  np.testing.assert_allclose((found.a, found.b, found.c), (a, b, c), rtol=1e-3)


def test_a_noisy_law_is_fitted_as_an_independent_fit_does_it():
  truth, options = law(), drawn(60)
  degree = truth.degree(options)
  noise = np.random.default_rng(1).normal(0, 0.01, 60)
  measured = truth.accuracy(degree) + noise
  found = degree_law.fitted(options, measured, COUNTS, truth.capacity, FIRM)

  def curve(g, a, b, c):
    return 1 / (a + np.exp(b / g + c))

  theirs, _ = optimize.curve_fit(curve, degree, measured, p0=(1.0, 1.5, -2.0))
  np.testing.assert_allclose(
    found.accuracy(found.degree(options)), curve(degree, *theirs), atol=1e-4
  )


def test_accuracy_rises_with_the_degree_up_to_its_ceiling():
  degrees = np.array([1e-9, 0.1, 1.0, 10.0, 1e9])
  accuracy = law().accuracy(degrees)
  assert np.all(np.diff(accuracy) > 0)
  assert accuracy[0] < 1e-12
  assert accuracy[-1] == pytest.approx(1 / (1.1 + np.exp(-2.5)))


def test_what_options_give_is_learned_where_their_price_misleads():
  truth, options, others = law(), drawn(80), drawn(200, seed=1)
  measured = truth.accuracy(truth.degree(options))
  inverse = 0.06 / truth.capacity
  found = degree_law.fitted(options, measured, COUNTS, inverse, LOOSE)
  tau = stats.kendalltau(found.degree(others), truth.degree(others)).statistic
  firm = degree_law.fitted(options, measured, COUNTS, inverse, FIRM)
  assert tau > 0.85
  assert stats.kendalltau(firm.degree(others), truth.degree(others)).statistic < 0


def test_capacities_are_what_options_cost_and_the_mean_choice_has_one():
  options = drawn(4000)
  prices = 10.0 + options @ np.array([3.0, 1.0, 0.0, 2.0])
  capacity = degree_law.capacities(options, prices, COUNTS)
  assert np.mean(
    DegreeLaw(1.0, 1.0, 0.0, capacity, STARTS).degree(options)
  ) == pytest.approx(1.0)
  assert np.all(np.diff(capacity[:4]) > 0)
  assert capacity[STARTS[2] :][:3] == pytest.approx(1 / len(COUNTS), rel=0.05)


@pytest.mark.parametrize("scale", [100.0, -1.0])
def test_measurements_that_are_no_shares_are_predicted_in_their_order(scale):
  truth, options = law(), drawn(80)
  measured = truth.accuracy(truth.degree(options)) * abs(scale) + min(scale, 0.0)
  found = degree_law.fitted(options, measured, COUNTS, truth.capacity, LOOSE)
  tau = stats.kendalltau(found.degree(options), measured).statistic
  assert tau > 0.85


@pytest.mark.parametrize("value", [0.7, 0.0, -3.0])
def test_of_equal_measurements_nothing_is_learned(value):
  truth, options = law(), drawn(10)
  found = degree_law.fitted(options, np.full(10, value), COUNTS, truth.capacity, 1.0)
  assert np.all(np.isfinite(found.accuracy(found.degree(options))))
  np.testing.assert_allclose(found.capacity, truth.capacity, rtol=1e-2)
