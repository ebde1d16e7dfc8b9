"""What a surrogate is asked about, and what it says is worth measuring."""

from collections.abc import Mapping

import numpy as np
from scipy import special

from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.strategies import variation
from neural_epitome.strategies.base import Problem


def candidates(
  problem: Problem,
  random: np.random.Generator,
  known: Mapping[ArchEncoding, float],
  count: int,
  parents: int,
  mutation: float,
) -> list[ArchEncoding]:
  """Different choices that were not measured: half children of the best, half drawn.

  Args:
    problem: whose budget they fit.
    random: draws them.
    known: what was measured, and at what.
    count: about how many; fewer where no others are found.
    parents: the best choices so far, whose children they are.
    mutation: probability that a gene of a mutation is drawn anew.
  """
  best = sorted(known, key=known.__getitem__, reverse=True)[:parents]
  half = -(-count // 2)
  children = variation.children(problem, random, best, known, half, mutation)
  drawn = problem.drawn(random, half)
  return [arch for arch in dict.fromkeys([*children, *drawn]) if arch not in known]


def expected_improvement(
  mean: np.ndarray, deviation: np.ndarray, best: float
) -> np.ndarray:
  """Of a normal distribution over the best so far (Jones et al. 1998, equation 15).

  Args:
    mean: float64 (choices,).
    deviation: likewise, above 0.
    best: of what was measured.
  """
  units = (mean - best) / deviation
  density = np.exp(-0.5 * units**2) / np.sqrt(2.0 * np.pi)
  return deviation * (units * special.ndtr(units) + density)
