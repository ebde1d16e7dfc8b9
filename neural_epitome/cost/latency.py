"""Measured time of several ways to compute the same result, called in turn."""

import time
from collections.abc import Callable, Mapping
from typing import Any


def alternate(
  cases: Mapping[str, Callable[[], Any]], rounds: int
) -> dict[str, list[float]]:
  """Seconds of every call, by case: one call of each case a round.

  Cases alternate so that a machine that slows down or speeds up does so for all alike.

  Args:
    cases: what is called, by name; each returns when its work is done.
    rounds: calls of each.
  """
  seconds: dict[str, list[float]] = {name: [] for name in cases}
  for _ in range(rounds):
    for name, run in cases.items():
      begin = time.perf_counter()
      run()
      seconds[name].append(time.perf_counter() - begin)
  return seconds
