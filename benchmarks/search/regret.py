"""How far strategies are behind the best choice of a table, seed by seed."""

import dataclasses
import time

import numpy as np

from benchmarks.search.truth import Truth
from neural_epitome.strategies import Strategy

_RESAMPLES = 2000


@dataclasses.dataclass(frozen=True)
class Curves:
  """What a strategy did on a table.

  Attributes:
    told: (seeds, questions) regret by the measurement that the strategy was told.
    tested: the same by `Truth.tested`.
    asked: (seeds,) questions that it asked.
    seconds: of all seeds.
  """

  told: np.ndarray
  tested: np.ndarray
  asked: np.ndarray
  seconds: float


def curves(truth: Truth, strategy: Strategy, seeds: int, questions: int) -> Curves:
  """Runs a strategy once for each seed; see `Trace.regret`."""
  judge, begin = truth.judge, time.monotonic()
  traces = [judge.ask(strategy, seed) for seed in range(seeds)]
  seconds = time.monotonic() - begin
  return Curves(
    told=np.array([trace.regret(judge.told, questions) for trace in traces]),
    tested=np.array([trace.regret(truth.tested, questions) for trace in traces]),
    asked=np.array([len(trace.asked) for trace in traces]),
    seconds=seconds,
  )


def interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Mean over seeds, and its 95% interval by the percentile bootstrap.

  Args:
    values: (seeds, points).

  Returns:
    Mean, lower and upper end, each (points,).
  """
  seeds = len(values)
  random = np.random.default_rng(0)
  times = random.multinomial(seeds, np.full(seeds, 1 / seeds), _RESAMPLES)
  low, high = np.percentile(times @ values / seeds, (2.5, 97.5), axis=0)
  return np.mean(values, axis=0), low, high
