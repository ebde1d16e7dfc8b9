"""Measured time of a few ways to compute the same."""

import time
from collections.abc import Callable, Mapping
from typing import Any


def alternate(
  cases: Mapping[str, Callable[[], Any]], rounds: int
) -> dict[str, list[float]]:
  """Seconds of each case, one call of each a round, so that drift hits all alike.

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
