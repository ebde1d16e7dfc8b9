"""Timing parts of networks on this machine, each compiled alone as it ships."""

import functools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from scipy import stats

from neural_epitome import models
from neural_epitome.cost import inventory as inventories
from neural_epitome.models.base import Layers
from neural_epitome.planning import Planner

# A sample is as many calls as take so many seconds: one of a small block is over before
# a clock can tell.
SAMPLES, SAMPLE_SECONDS = 15, 1e-3


def milliseconds(
  build: Callable[[Layers], nn.Module],
  planner: Planner,
  shape: tuple[int, ...],
) -> float:
  """Milliseconds of one call of a module as it ships, less those of an empty one."""
  inventory = inventories.take(build(models.make_layers()), shape[1:])
  plan = planner.plan(inventory)
  module = build(models.make_layers(plan=plan, execution="fold", merged=True))
  x = jnp.zeros(shape)
  variables = jax.jit(module.init)(jax.random.key(0), x)
  # Constants, as they ship: arguments would be counted and checked in every call.
  run = jax.jit(functools.partial(module.apply, variables))
  return max(0.0, median(lambda: run(x)) - empty_call())


@functools.cache
def empty_call() -> float:
  """Milliseconds of a call that does nothing."""
  nothing = jax.jit(lambda x: x + 1.0)
  x = jnp.zeros(())
  return median(lambda: nothing(x))


def median(call: Callable[[], jax.Array]) -> float:
  """Milliseconds of a call, the first of which compiles."""

  def seconds(calls: int) -> float:
    begin = time.perf_counter()
    for _ in range(calls):
      call().block_until_ready()
    return (time.perf_counter() - begin) / calls

  seconds(3)
  calls = 1 + int(SAMPLE_SECONDS / seconds(3))
  return 1e3 * statistics.median(seconds(calls) for _ in range(SAMPLES))


def agreement(sums: Sequence[float], measured: Sequence[float]) -> tuple[float, float]:
  """Slope through the origin and Spearman's rank correlation."""
  if len(sums) < 2:
    return 1.0, 1.0
  x, y = np.array(sums), np.array(measured)
  ranked: Any = stats.spearmanr(x, y)
  return float(x @ y / (x @ x)), float(ranked.statistic)
