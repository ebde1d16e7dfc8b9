"""What measured choices say of others: a Gaussian process over genes.

Two choices are as alike as their genes agree: the covariance is exp(-n / length), n
being the number of genes in which they differ (the overlap kernel of categorical
Bayesian optimisation, Ru et al., arXiv 1906.08878, in its exponential form of Wan et
al., arXiv 2102.07188). Length and noise are those of a small grid under which what was
measured is likeliest (Rasmussen and Williams 2006, equations 2.23 to 2.30), the
variance is the likeliest for them, which is known in closed form.
"""

import dataclasses
import itertools

import numpy as np
from scipy import linalg

_LENGTHS = (0.7, 1.5, 3.0, 6.0, 12.0, 24.0)
# Relative to the variance of the process.
_NOISES = (1e-4, 1e-2, 1e-1, 1.0)


def likeness(first: np.ndarray, second: np.ndarray, length: float) -> np.ndarray:
  """Covariance of choices, in [0, 1]: float64 (choices, others).

  Args:
    first: options, whole numbers (choices, genes).
    second: likewise (others, genes).
    length: how many genes may differ before two choices say little of each other.
  """
  return np.exp(-np.sum(first[:, None] != second[None], axis=-1) / length)


@dataclasses.dataclass(frozen=True, eq=False)
class Posterior:
  """A process of any covariance, given what was measured; made by `posterior`.

  Attributes:
    mean: of the measurements.
    deviation: of the process, above 0.
    factor: Cholesky factor of the covariance, and whether it is the lower one.
    weights: the covariance's inverse times how far each measurement is from the mean.
    log_likelihood: of the measurements but for a constant.
  """

  mean: float
  deviation: float
  factor: tuple[np.ndarray, bool]
  weights: np.ndarray
  log_likelihood: float

  def predict(self, across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of what choices would be measured at, without noise.

    Args:
      across: their covariance with what was measured, float64 (choices, measured).

    Returns:
      float64 (choices,) each, in the unit of the measurements.
    """
    mean = self.mean + across @ self.weights
    solved = linalg.cho_solve(self.factor, across.T)
    variance = np.clip(1.0 - np.sum(across.T * solved, axis=0), 1e-12, None)
    return mean, self.deviation * np.sqrt(variance)


def posterior(covariance: np.ndarray, noise: float, measured: np.ndarray) -> Posterior:
  """What measurements say of a process, at the deviation that is likeliest for them.

  Args:
    covariance: of what was measured, without noise and with 1 on the diagonal:
      float64 (choices, choices).
    noise: relative to the variance of the process.
    measured: float64 (choices,), at least one.
  """
  mean = float(np.mean(measured))
  away = measured - mean
  # Of equal measurements there is nothing to learn but their mean.
  least = 1e-12 * max(1.0, abs(mean))
  factor = linalg.cho_factor(covariance + noise * np.eye(len(away)), lower=True)
  weights = linalg.cho_solve(factor, away)
  deviation = max(least, float(np.sqrt(away @ weights / len(away))))
  log = -len(away) * np.log(deviation) - np.sum(np.log(np.diag(factor[0])))
  return Posterior(mean, deviation, factor, weights, float(log))


@dataclasses.dataclass(frozen=True, eq=False)
class GaussianProcess:
  """A process over genes, given what was measured; made by `fitted`.

  Attributes:
    options: of what was measured, whole numbers (choices, genes).
    length: of `likeness`.
    given: what is known of it.
  """

  options: np.ndarray
  length: float
  given: Posterior

  def predict(self, options: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What choices would be measured at; see `Posterior.predict`.

    Args:
      options: whole numbers (choices, genes).
    """
    return self.given.predict(likeness(options, self.options, self.length))


def fitted(options: np.ndarray, measured: np.ndarray) -> GaussianProcess:
  """The process of the grid under which the measurements are likeliest.

  Args:
    options: whole numbers (choices, genes), at least one choice.
    measured: float64 (choices,).
  """
  differ = np.sum(options[:, None] != options[None], axis=-1)
  processes = [
    GaussianProcess(
      options, length, posterior(np.exp(-differ / length), noise, measured)
    )
    for length, noise in itertools.product(_LENGTHS, _NOISES)
  ]
  return max(processes, key=lambda process: process.given.log_likelihood)
