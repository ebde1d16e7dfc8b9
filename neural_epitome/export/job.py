"""Exports a network, and measures the files: their bytes, speed and exactness."""

import contextlib
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

import numpy as np
from tqdm import tqdm

from neural_epitome import packages, whole_files
from neural_epitome.cost import latency, totals
from neural_epitome.errors import UserError
from neural_epitome.export import (
  deployment,
  format_module,
  inference_model,
  measured,
  onnx_stored,
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
    formats: names of formats, see `export.format_module`.
    execution: how kernels are run in a format that holds a program; `measured` folds
      those that are faster so in the format's own runtime on this machine, and builds
      the others once.
    bits: of stored numbers in a format that holds numbers, see
      `inference_model.at_bits`; None for those that the network was trained at.
    quiet: shows no progress.

  Returns:
    {"files": one {"format", "file", "bytes", "largest_difference"} each, "network":
    stored_params, stored_bytes, expanded_params, "record": see `deployment`, "modes":
    for each way to run it {"madds", "median_ms"} of one example on this machine,
    milliseconds by the name of the runtime: XLA, and those of the formats where they
    take it so}. The difference is that of logits on noise to those of the trained
    network, its routing frozen.

  Raises:
    UserError: as `checked`, before anything is done, or for a network that a format
      cannot hold, after the others are written.
  """
  modules = checked(formats, bits)
  try:
    directory.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise UserError(f"{directory} cannot be written: {error.strerror}.") from None
  ready = inference_model.shipped(trained)
  shape = (_EXAMPLES, *trained.config.data.input_shape)
  batch = np.random.default_rng(0).normal(size=shape).astype(np.float32)
  expected = np.asarray(ready.model.apply(ready.variables, batch, train=False))
  record = deployment.record(ready)
  files, runs = [], {m: program.run_as(ready, m) for m in get_args(program.Mode)}
  refused: list[UserError] = []
  for name, module in modules.items():
    path = directory / (trained.config.name + module.ENDING)
    how, decoded = execution, frozenset()
    try:
      if module.IS_PROGRAM and execution == "measured":
        how = f"measured, {name}"
        decoded = measured.faster_decoded(ready, module.compiled, quiet=quiet)
        runs[how] = program.run_as(ready, "fold", decoded)
      arguments, options = (ready, bits), {}
      if module.IS_PROGRAM:
        arguments = (runs[how],)
        apart = onnx_stored.paths(ready) if hasattr(module, "HOLDS_STORED") else []
        if apart and execution != "decode":
          mode = "materialise" if execution == "materialise" else "fold"
          arguments = (program.run_as(ready, mode, {*decoded, *apart}),)
          options = {"stored": ready}
      _write(path, module, arguments, record, options)
      files.append({"format": name, "file": str(path), "bytes": path.stat().st_size})
      answers = np.asarray(_run(path, module, batch))
    except UserError as error:
      # The others are wanted all the same.
      refused.append(error)
      continue
    files[-1]["largest_difference"] = float(np.abs(answers - expected).max())
  if refused:
    written = ", ".join(file["file"] for file in files) or "none"
    raise UserError(f"{refused[0]} Written: {written}.") from refused[0]
  inventory = setup.take_inventory(ready.config, len(ready.classes))
  price = totals.price(inference_model.at_bits(ready, bits).plan, inventory)
  return {
    "files": files,
    "network": {
      "stored_params": price.stored_params,
      "stored_bytes": price.stored_bytes,
      "expanded_params": price.expanded_params,
    },
    "record": record,
    "modes": _modes(runs, modules, batch[:1], quiet),
  }


def _write(
  path: Path,
  module: ModuleType,
  arguments: tuple[Any, ...],
  record: dict[str, Any],
  options: dict[str, Any],
) -> None:
  """The file, and what is to be known of it inside or, in JSON, beside."""
  is_inside = getattr(module, "HOLDS_RECORD", False)
  try:
    with whole_files.replacing(path) as partial:
      options |= {"record": record} if is_inside else {}
      module.write(partial, *arguments, **options)
    if not is_inside:
      with whole_files.replacing(deployment.beside(path)) as partial:
        partial.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
  except OSError as error:
    raise UserError(f"{path} cannot be written: {error.strerror}.") from error


def _run(path: Path, module: ModuleType, batch: np.ndarray) -> Any:
  """What the runtime of a file answers."""
  try:
    return module.read(path)(batch)
  except (OSError, UserError) as error:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    told = f"{path} could not be run here, to compare it: {reason.rstrip('.')}."
    raise UserError(told) from error


def checked(formats: Sequence[str], bits: int | None) -> dict[str, ModuleType]:
  """The modules of formats, by name, if files of them can be made here.

  Raises:
    UserError: for a format that is not known, lacks a package or has not such bits.
  """
  modules = {name: format_module(name) for name in formats}
  for name, module in modules.items():
    if bits not in (None, 32) and module.IS_PROGRAM:
      raise UserError(f"{name} holds float32; --bits={bits} is for compact and c.")
    for package, extra in getattr(module, "NEEDED", ()):
      packages.needed(package, extra, f"--format={name}")
  return modules


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
