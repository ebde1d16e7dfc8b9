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
class GaussianProcess:
  """What is known, given what was measured; made by `fitted`.

  Attributes:
    options: of what was measured, whole numbers (choices, genes).
    mean: of the measurements.
    deviation: of the process, above 0.
    length: of `likeness`.
    factor: Cholesky factor of the covariance, and whether it is the lower one.
    weights: the covariance's inverse times how far each measurement is from the mean.
  """

  options: np.ndarray
  mean: float
  deviation: float
  length: float
  factor: tuple[np.ndarray, bool]
  weights: np.ndarray

  def predict(self, options: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of what choices would be measured at, without noise.

    Args:
      options: whole numbers (choices, genes).

    Returns:
      float64 (choices,) each, in the unit of the measurements.
    """
    across = likeness(options, self.options, self.length)
    mean = self.mean + across @ self.weights
    solved = linalg.cho_solve(self.factor, across.T)
    variance = np.clip(1.0 - np.sum(across.T * solved, axis=0), 1e-12, None)
    return mean, self.deviation * np.sqrt(variance)


def fitted(options: np.ndarray, measured: np.ndarray) -> GaussianProcess:
  """The process of the grid under which the measurements are likeliest.

  Args:
    options: whole numbers (choices, genes), at least one choice.
    measured: float64 (choices,).
  """
  mean = float(np.mean(measured))
  away = measured - mean
  # Of equal measurements there is nothing to learn but their mean.
  least = 1e-12 * max(1.0, abs(mean))
  differ = np.sum(options[:, None] != options[None], axis=-1)
  processes = []
  for length, noise in itertools.product(_LENGTHS, _NOISES):
    covariance = np.exp(-differ / length) + noise * np.eye(len(away))
    factor = linalg.cho_factor(covariance, lower=True)
    weights = linalg.cho_solve(factor, away)
    deviation = max(least, float(np.sqrt(away @ weights / len(away))))
    log = -len(away) * np.log(deviation) - np.sum(np.log(np.diag(factor[0])))
    process = GaussianProcess(options, mean, deviation, length, factor, weights)
    processes.append((float(log), process))
  return max(processes, key=lambda pair: pair[0])[1]
