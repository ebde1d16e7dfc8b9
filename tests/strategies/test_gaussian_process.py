"""A Gaussian process over genes knows what it was told, and little far from it."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from neural_epitome.strategies import gaussian_process


def measured(count, seed=0, genes=6):
  """Choices, and what each is worth: genes add up."""
  random = np.random.default_rng(seed)
  options = random.integers(4, size=(count, genes))
  return options, options @ np.arange(1.0, genes + 1) / 100


def test_it_predicts_as_an_independent_one_does():
  """Squared distances of one-hot vectors are twice the number of genes that differ."""
  options, worth = measured(30)
  others, _ = measured(50, seed=1)
  process = gaussian_process.fitted(options, worth)
  own = process.given.factor[0][0, 0] ** 2 - 1.0
  one_hot = [np.eye(4)[chosen].reshape(len(chosen), -1) for chosen in (options, others)]
  theirs = GaussianProcessRegressor(
    RBF(np.sqrt(process.length)), alpha=own, optimizer=None
  )
  theirs.fit(one_hot[0], worth - worth.mean())
  mean, deviation = theirs.predict(one_hot[1], return_std=True)
  ours = process.predict(others)
  np.testing.assert_allclose(ours[0], worth.mean() + mean, atol=1e-9)
  np.testing.assert_allclose(ours[1], process.given.deviation * deviation, atol=1e-7)


def test_its_grid_prefers_the_likelier_process():
  options, worth = measured(60)
  noisy = worth + np.random.default_rng(2).normal(0, worth.std(), len(worth))
  exact = gaussian_process.fitted(options, worth)
  rough = gaussian_process.fitted(options, noisy)
  assert exact.given.factor[0][0, 0] < rough.given.factor[0][0, 0]


def test_what_adds_up_is_predicted_from_few_choices():
  process = gaussian_process.fitted(*measured(60))
  options, worth = measured(200, seed=1)
  mean, _ = process.predict(options)
  assert np.corrcoef(mean, worth)[0, 1] > 0.9


def test_it_knows_how_much_it_does_not_know():
  """Of what is drawn from such a process, a prediction's error has its deviation."""
  options, _ = measured(260)
  covariance = 0.04 * gaussian_process.likeness(options, options, 3.0)
  worth = np.random.default_rng(4).multivariate_normal(np.full(260, 0.6), covariance)
  mean, deviation = gaussian_process.fitted(options[:60], worth[:60]).predict(
    options[60:]
  )
  assert 0.8 < np.std((mean - worth[60:]) / deviation) < 1.25


@pytest.mark.parametrize("count", [1, 5])
def test_of_equal_measurements_the_mean_is_predicted(count):
  options, _ = measured(count)
  process = gaussian_process.fitted(options, np.full(count, 0.7))
  mean, deviation = process.predict(options + 1)
  np.testing.assert_allclose(mean, 0.7)
  assert np.all(deviation > 0)
