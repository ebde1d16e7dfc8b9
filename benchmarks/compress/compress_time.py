"""Seconds that `compress` and `expand` take.

  python -m benchmarks.compress.compress_time

ResNet-50 of the package jax-resnet (of the `test` extra), random weights: how long the
fit takes does not depend on them. Each figure is the median over --rounds processes,
compilation of what is fitted included, the import of JAX not.
"""

import argparse
import concurrent.futures
import multiprocessing
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks import common


def measure(fit: str, rate: float) -> dict[str, float]:
  """Seconds of one fit and of expanding it, in a process of its own."""
  import jax
  import jax.numpy as jnp
  import jax_resnet
  import numpy as np

  import neural_epitome as ne

  model = jax_resnet.ResNet50(n_classes=1000)
  shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
  random = np.random.default_rng(0)
  params = jax.tree.map(
    lambda leaf: random.normal(size=leaf.shape).astype(np.float32), shapes["params"]
  )
  begin = time.perf_counter()
  rule = ne.ChannelEpitomeRule()
  small = ne.compress(params, f"{rate:g}x", rule=rule, fit=fit, quiet=True)
  compressed = time.perf_counter()
  expand = jax.jit(small.expand)
  jax.block_until_ready(expand(small.compact))
  ready = time.perf_counter()

  def median_of(expand: Callable[[Any], Any]) -> float:
    seconds = []
    for _ in range(6):
      start = time.perf_counter()
      jax.block_until_ready(expand(small.compact))
      seconds.append(time.perf_counter() - start)
    # The first one compiles, each operation by itself outside `jax.jit`.
    return round(statistics.median(seconds[1:]), 3)

  return {
    "parameters": small.totals.expanded_params,
    "stored_params": small.totals.stored_params,
    "compress_seconds": round(compressed - begin, 2),
    "compile_expand_seconds": round(ready - compressed, 2),
    "expand_seconds": median_of(expand),
    "expand_outside_jit_seconds": median_of(small.expand),
  }


def main() -> None:
  """Measures and writes results/compress_time.csv."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--rounds", type=int, default=3)
  parser.add_argument("--rate", type=float, default=4.0)
  parser.add_argument("--fits", default="closed,full", help="commas between")
  arguments = parser.parse_args()
  context, rows = multiprocessing.get_context("spawn"), []
  for fit in arguments.fits.split(","):
    found: list[dict[str, Any]] = []
    for _ in range(arguments.rounds):
      with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        found.append(pool.submit(measure, fit, arguments.rate).result())
      print(fit, *found[-1].values(), sep="\t", flush=True)
    middle = {key: statistics.median(row[key] for row in found) for key in found[0]}
    rows.append(
      {"fit": fit, "rate": arguments.rate, "rounds": arguments.rounds} | middle
    )
  print(common.write("compress_time", rows, (*common.PACKAGES, "jax-resnet")))


if __name__ == "__main__":
  main()
