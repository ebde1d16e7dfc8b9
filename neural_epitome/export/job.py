"""Exports a network, and says what came of it: bytes, speed, and how exact it is."""

import contextlib
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

import numpy as np
from tqdm import tqdm

from neural_epitome.cost import latency, totals
from neural_epitome.errors import UserError
from neural_epitome.export import (
  format_module,
  inference_model,
  measured,
  program,
  stablehlo,
)
from neural_epitome.training import setup
from neural_epitome.training.trained import Trained

Execution = program.Mode | Literal["measured"]

_ROUNDS = 20
_EXAMPLES = 8


def export(
  trained: Trained,
  directory: Path,
  formats: Sequence[str],
  *,
  execution: Execution = "fold",
  bits: int | None = None,
  quiet: bool = False,
) -> dict[str, Any]:
  """Writes one file a format and measures.

  Args:
    trained: a network, from `load`.
    directory: where the files go, `NAME.ENDING`.
    formats: their names, as of `format_module`.
    execution: how kernels are run in a format that holds a program; `measured` folds
      those that are faster so in the format's own runtime on this machine, and builds
      the others once.
    bits: of stored numbers in a format that holds numbers, see
      `inference_model.at_bits`; None for those that the network was trained at.
    quiet: shows no progress.

  Returns:
    {"files": one {"format", "file", "bytes", "largest_difference"} each, "network":
    stored_params, stored_bytes, expanded_params, "modes": for each way to run it
    {"madds", "median_ms"} of one example on this machine, milliseconds by the name of
    the runtime: XLA, and those of the formats where they take it so}. The difference
    is that of logits on noise to those of the trained network, its routing frozen.

  Raises:
    UserError: for a format that is not known, or a network that it cannot hold.
  """
  modules = {}
  for name in formats:
    modules[name] = format_module(name)
    if bits not in (None, 32) and modules[name].IS_PROGRAM:
      raise UserError(f"{name} holds float32; --bits={bits} is for compact and c.")
  ready = inference_model.shipped(trained)
  shape = (_EXAMPLES, *trained.config.data.input_shape)
  batch = np.random.default_rng(0).normal(size=shape).astype(np.float32)
  expected = np.asarray(ready.model.apply(ready.variables, batch, train=False))
  directory.mkdir(parents=True, exist_ok=True)
  files, runs = [], {m: program.run_as(ready, m) for m in get_args(program.Mode)}
  for name, module in modules.items():
    path = directory / (trained.config.name + module.ENDING)
    # Whole or not at all.
    partial = path.with_name(path.name + ".partial")
    how = execution
    if module.IS_PROGRAM and execution == "measured":
      how = f"measured, {name}"
      decoded = measured.faster_decoded(ready, module.compiled, quiet=quiet)
      runs[how] = program.run_as(ready, "fold", decoded)
    if module.IS_PROGRAM:
      module.write(partial, runs[how])
    else:
      module.write(partial, ready, bits)
    partial.replace(path)
    answers = np.asarray(module.read(path)(batch))
    files.append(
      {
        "format": name,
        "file": str(path),
        "bytes": path.stat().st_size,
        "largest_difference": float(np.abs(answers - expected).max()),
      }
    )
  inventory = setup.take_inventory(ready.config, len(ready.classes))
  price = totals.price(inference_model.at_bits(ready, bits).plan, inventory)
  return {
    "files": files,
    "network": {
      "stored_params": price.stored_params,
      "stored_bytes": price.stored_bytes,
      "expanded_params": price.expanded_params,
    },
    "modes": _modes(runs, modules, batch[:1], quiet),
  }


def _modes(
  networks: Mapping[str, Trained],
  modules: Mapping[str, ModuleType],
  example: np.ndarray,
  quiet: bool,
) -> dict[str, dict[str, Any]]:
  """Multiply-adds and measured times of one example, run in each way."""
  runtimes = {stablehlo.RUNTIME: ("stablehlo", stablehlo)} | {
    module.RUNTIME: (name, module)
    for name, module in modules.items()
    if module.IS_PROGRAM
  }
  rows: dict[str, dict[str, Any]] = {}
  for mode, network in networks.items():
    inventory = setup.take_inventory(network.config, len(network.classes))
    price = totals.price(network.plan, inventory, network.config.execution)
    rows[mode] = {"madds": price.madds, "median_ms": {}}
  for runtime, (name, module) in runtimes.items():
    runs = {}
    for mode in tqdm(networks, f"timing in {runtime}", disable=quiet or None):
      of = mode.partition(", ")[2]
      if of and of != name:
        continue  # chosen by the times of another runtime
      with contextlib.suppress(UserError):  # one that the format does not take
        # Variables are constants, as they are in a file: what can be computed once is.
        call = module.compiled(program.logits(networks[mode]), example.shape)
        runs[mode] = lambda call=call: call(example)
    latency.alternate(runs, 2)
    for mode, seconds in latency.alternate(runs, _ROUNDS).items():
      rows[mode]["median_ms"][runtime] = 1e3 * statistics.median(seconds)
  return rows
