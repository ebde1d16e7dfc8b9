"""Which kernels to fold, by the time that it takes in the runtime at hand.

A narrow convolution may be slower than the wide one that it replaces, and wrapping and
replicating move memory: how much, only the machine knows.
"""

import dataclasses
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
from tqdm import tqdm

from neural_epitome.cost import latency, totals
from neural_epitome.export import graph, program
from neural_epitome.export.program import Function
from neural_epitome.training import setup
from neural_epitome.training.trained import Trained

# A function of one array as a call of a runtime, which returns when it is done.
Compile = Callable[[Function, tuple[int, ...]], Callable[[np.ndarray], Any]]

_ROUNDS = 30


def faster_decoded(
  trained: Trained, compile_layer: Compile, batch: int = 1, *, quiet: bool = False
) -> tuple[str, ...]:
  """Paths of the compressed kernels that are better built once than folded.

  Args:
    trained: from `inference_model.shipped`.
    compile_layer: of the runtime; see the modules of programs.
    batch: examples at a time.
    quiet: shows no progress.

  Returns:
    Those whose layer, with the batch norm after it, took longer folded than built, and
    those that do not fold; or these alone, where the whole network was not faster with
    the others built. Medians, both timed in turns.
  """
  sites = graph.find(trained, batch)
  inventory = setup.take_inventory(trained.config, len(trained.classes))
  less, full = (
    totals.kernel_costs(trained.plan, inventory, how) for how in ("fold", "materialise")
  )
  folded, dense = (program.run_as(trained, mode) for mode in ("fold", "decode"))
  streamed = graph.find(folded, batch)
  seen: dict[Any, bool] = {}
  whole, slower = [], []
  for path in tqdm(trained.plan.compressed, "timing layers", disable=quiet or None):
    if less[path].madds == full[path].madds:
      whole.append(path)
      continue
    kernel, site = trained.plan.kernels[path], sites[path]
    within = dataclasses.replace(streamed[path], norm=site.norm)
    key = (kernel.shape, kernel.generator, dataclasses.replace(within, norm=None))
    if key not in seen:
      seen[key] = _is_slower(
        program.layer(folded, path, within),
        program.layer(dense, path, site),
        compile_layer,
      )
    if seen[key]:
      slower.append(path)
  # A layer alone does not show what it costs that its neighbours are run otherwise.
  shape = (batch, *trained.config.data.input_shape)
  mixed, most = (
    (program.logits(program.run_as(trained, "fold", paths)), shape)
    for paths in ([*whole, *slower], whole)
  )
  if slower and not _is_slower(mixed, most, compile_layer):
    whole += slower
  return tuple(path for path in trained.plan.compressed if path in whole)


def _is_slower(
  one: tuple[Function, tuple[int, ...]],
  other: tuple[Function, tuple[int, ...]],
  compile_layer: Compile,
) -> bool:
  """Whether a function of an array of some shape takes longer than another one."""
  runs = {}
  for name, (function, shape) in {"one": one, "other": other}.items():
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    call = compile_layer(function, shape)
    runs[name] = lambda call=call, x=x: call(x)
  latency.alternate(runs, 3)
  seconds = latency.alternate(runs, _ROUNDS)
  return statistics.median(seconds["one"]) > statistics.median(seconds["other"])
