"""Which kernels to fold, by the time that it takes in the runtime at hand.

A narrow convolution may be slower than the wide one that it replaces, and wrapping and
replicating move memory: how much, only the machine knows.
"""

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
from tqdm import tqdm

from neural_epitome.cost import latency, totals
from neural_epitome.export import program, sites
from neural_epitome.export.program import Function
from neural_epitome.training import setup
from neural_epitome.training.loading import Trained

# A function of one array as a call of a runtime, which returns when it is done.
Compile = Callable[[Function, tuple[int, ...]], Callable[[np.ndarray], Any]]

_ROUNDS = 30


def faster_decoded(
  trained: Trained, compile_layer: Compile, batch: int = 1, *, quiet: bool = False
) -> tuple[str, ...]:
  """Paths of the compressed kernels that are better built once than folded.

  Args:
    trained: from `shipping.shipped`.
    compile_layer: of the runtime; see the modules of programs.
    batch: examples at a time.
    quiet: shows no progress.

  Returns:
    Those whose layer, with the batch norm after it, took longer folded than built,
    median against median, both timed in turns; and those that do not fold.
  """
  found = sites.find(trained, batch)
  inventory = setup.take_inventory(trained.config, len(trained.classes))
  less, full = (
    totals.kernel_costs(trained.plan, inventory, how) for how in ("fold", "materialise")
  )
  folded, dense = (program.run_as(trained, mode) for mode in ("fold", "decode"))
  seen: dict[Any, bool] = {}
  slower = []
  for path in tqdm(trained.plan.compressed, "timing layers", disable=quiet or None):
    kernel, site = trained.plan.kernels[path], found[path]
    key = (kernel.shape, kernel.generator, site.input_shape, site.application)
    if key not in seen:
      layers = [program.layer(network, path, site) for network in (folded, dense)]
      seen[key] = less[path].madds == full[path].madds or _is_slower(
        *layers, site.input_shape, compile_layer
      )
    if seen[key]:
      slower.append(path)
  return tuple(slower)


def _is_slower(
  folded: Function, dense: Function, shape: tuple[int, ...], compile_layer: Compile
) -> bool:
  x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
  calls = {"fold": compile_layer(folded, shape), "dense": compile_layer(dense, shape)}
  runs = {name: lambda run=run: run(x) for name, run in calls.items()}
  latency.alternate(runs, 3)
  seconds = latency.alternate(runs, _ROUNDS)
  return statistics.median(seconds["fold"]) > statistics.median(seconds["dense"])
