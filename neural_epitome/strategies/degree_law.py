"""The analytic predictor of FLASH: accuracy as a law of one number, the degree.

Li et al., FLASH: Fast Neural Architecture Search with Hardware Optimization (arXiv
2108.00568): accuracy = 1 / (a + exp(b / g + c)), where g is the NN-Degree of a network,
a sum over its cells of width + skip connections / (width x depth). The law is fitted on
25 trained networks by least squares.

That degree knows widths and skip connections alone. A choice of a space has any genes,
windows, operations and epitome rates among them, so each option of each gene has a
capacity here, which the paper has not, and the degree is the sum of a choice's. At
first capacities are what options cost: how much dearer than the mean choice those with
the option are. They are learned with the law, and held near what they were at first.
"""

import dataclasses
from typing import Any

import numpy as np

# Of log(b), so that capacities have to tell choices apart, and not the law's steepness.
_STEEPNESS = (-3.0, 3.0)
# Exponents beyond which an accuracy is 0 in every respect.
_MOST = 50.0
_STEPS = 40


@dataclasses.dataclass(frozen=True, eq=False)
class DegreeLaw:
  """What is predicted of choices; made by `fitted`.

  Attributes:
    a: 1 over the accuracy of a network of infinite degree at the most, above 0.
    b: how much is gained by degree, above 0: accuracy rises with it.
    c: the smaller, the sooner it is gained.
    capacity: of each option, those of one gene after those of the other, above 0:
      float64 (options,).
    starts: index in it of the first option of each gene, whole numbers (genes,).
  """

  a: float
  b: float
  c: float
  capacity: np.ndarray
  starts: np.ndarray

  def degree(self, options: np.ndarray) -> np.ndarray:
    """The degree of choices, float64 (choices,).

    Args:
      options: whole numbers (choices, genes).
    """
    return np.sum(self.capacity[self.starts + options], axis=-1)

  def accuracy(self, degree: np.ndarray) -> np.ndarray:
    """The law: what choices of these degrees are measured at, in the same shape."""
    exponent = np.minimum(self.b / degree + self.c, _MOST)
    return 1.0 / (self.a + np.exp(exponent))


def capacities(
  options: np.ndarray, prices: np.ndarray, counts: tuple[int, ...]
) -> np.ndarray:
  """What options cost, as capacities: the mean choice has degree 1.

  Args:
    options: of choices drawn evenly, whole numbers (choices, genes).
    prices: theirs, float64 (choices,), above 0.
    counts: number of options of each gene.

  Returns:
    float64 (options,), of each the mean price of the choices that have it, over that of
    all and the number of genes. One that no choice has is taken for the mean.
  """
  mean = float(np.mean(prices)) or 1.0
  of_options = [
    np.mean(prices[column == option]) if np.any(column == option) else mean
    for column, count in zip(options.T, counts, strict=True)
    for option in range(count)
  ]
  return np.maximum(np.array(of_options) / mean, 1e-3) / len(counts)


def fitted(
  options: np.ndarray,
  measured: np.ndarray,
  counts: tuple[int, ...],
  capacity: np.ndarray,
  held: float,
) -> DegreeLaw:
  """Law and capacities under which choices are what they were measured at.

  The sum is least of the squares of what is left, in deviations of the measurements,
  and of `held` times the squares of how far the logarithm of each capacity moved.

  Args:
    options: whole numbers (choices, genes).
    measured: float64 (choices,). Unless all are inside (0, 1), they are brought there
      first, and what is predicted is right in its order alone.
    counts: number of options of each gene.
    capacity: of options before anything was learned, float64 (options,), above 0.
    held: the larger, the less capacities move.
  """
  # It takes a tenth of a second to import, which only who fits a law should wait for.
  from scipy import optimize

  shares = _as_shares(measured)
  starts = np.cumsum((0, *counts[:-1]))
  has = np.zeros((len(options), len(capacity)))
  has[np.arange(len(options))[:, None], starts + options] = 1.0
  unit = float(np.std(shares)) or 1.0
  hold = np.sqrt(held)

  def parts(numbers: np.ndarray) -> tuple[np.ndarray, ...]:
    a, b = np.exp(numbers[:2])
    capacities = capacity * np.exp(numbers[3:])
    degree = has @ capacities
    grown = np.exp(np.minimum(b / degree + numbers[2], _MOST))
    return a, b, capacities, degree, grown, 1.0 / (a + grown)

  def left(numbers: np.ndarray) -> np.ndarray:
    predicted = parts(numbers)[-1]
    return np.concatenate([(predicted - shares) / unit, hold * numbers[3:]])

  def jacobian(numbers: np.ndarray) -> np.ndarray:
    a, b, capacities, degree, grown, predicted = parts(numbers)
    by_exponent = -(predicted**2) * grown
    columns = [-(predicted**2) * a, by_exponent * b / degree, by_exponent]
    by_capacity = (by_exponent * -b / degree**2)[:, None] * has * capacities
    above = np.concatenate([np.stack(columns, 1), by_capacity], axis=1) / unit
    below = np.zeros((len(capacity), above.shape[1]))
    np.fill_diagonal(below[:, 3:], hold)
    return np.concatenate([above, below])

  # A ceiling above the best, and the mean at degree 1.
  ceiling = 1.0 / (float(np.max(shares)) + 0.5 * unit)
  middle = np.log(max(1.0 / float(np.mean(shares)) - ceiling, 1e-3))
  begin = np.concatenate(
    [[np.log(ceiling), 0.0, middle - 1.0], np.zeros(len(capacity))]
  )
  low, high = np.full(len(begin), -np.inf), np.full(len(begin), np.inf)
  low[1], high[1] = _STEEPNESS
  fit: Any = optimize.least_squares
  found = fit(left, begin, jacobian, bounds=(low, high), max_nfev=_STEPS).x
  a, b = np.exp(found[:2])
  learned = capacity * np.exp(found[3:])
  return DegreeLaw(float(a), float(b), float(found[2]), learned, starts)


def _as_shares(measured: np.ndarray) -> np.ndarray:
  low, high = float(np.min(measured)), float(np.max(measured))
  if 0.0 < low and high < 1.0:
    return measured
  return 0.1 + 0.8 * (measured - low) / max(high - low, 1e-12)
