"""The command line: flags -> experiment -> one job.

  python -m neural_epitome.main --experiment=mbv2_epitome
  python -m neural_epitome.main --mode=list
  python -m neural_epitome.main --mode=compare runs

Any field of the experiment's configuration is set by a flag of its dotted name, as
in --config.optimizer.learning_rate=0.1; --mode=plan --json prints them all.
"""

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from neural_epitome import allocator, codec, config, experiment
from neural_epitome.errors import UserError

_OVERRIDE = "--config."

_EXPERIMENT = flags.DEFINE_string(
  "experiment", None, "A shipped experiment (see --mode=list) or a Python file."
)
_MODE = flags.DEFINE_string(
  "mode",
  "train",
  "train: train, resume, or say that it is done; evaluate: top-1 of --workdir; "
  "plan: what is stored for each kernel, and the price; predict: name what "
  "--images show; compare: finished runs in the directories that are named; "
  "export: the network of --workdir as files of --format; "
  "list: all experiments and modes.",
)
_WORKDIR = flags.DEFINE_string(
  "workdir", None, "Directory of the run; runs/EXPERIMENT by default."
)
_DATASET = flags.DEFINE_string(
  "dataset",
  None,
  "'embedded', a data set prepared in --data_dir, or a folder of class folders.",
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Directory of prepared data sets.")
_IMAGES = flags.DEFINE_multi_string(
  "images", None, "Image files for --mode=predict; repeat, or join with commas."
)
_WEIGHTS = flags.DEFINE_enum(
  "weights",
  None,
  ["raw", "ema"],
  "Weights for evaluate, predict and compare; ema if kept.",
)
_BASELINE = flags.DEFINE_multi_string(
  "baseline",
  None,
  "Name of a method, with * and ?, to which --mode=compare takes paired differences; "
  "repeat. '*tile' and '*width' by default.",
)
_OUTPUT = flags.DEFINE_string(
  "output",
  None,
  "Directory of the page and figures of --mode=compare ('comparison' by default), or "
  "of the files of --mode=export ('exported').",
)
_FORMAT = flags.DEFINE_multi_string(
  "format",
  ["compact"],
  "Formats for --mode=export; repeat, or join with commas: compact (.safetensors, what "
  "is stored), c (a header), stablehlo (a program for CPU, CUDA and TPU), onnx, "
  "litert (.tflite).",
)
_EXECUTION = flags.DEFINE_enum(
  "execution",
  "fold",
  ["fold", "materialise", "decode", "measured"],
  "How an exported program runs its kernels: folded where that can be done; built "
  "from the epitomes each time; built once, the dense network; or measured: folded "
  "where that is faster here, in the runtime of the format, and built once elsewhere.",
)
_BITS = flags.DEFINE_integer(
  "bits",
  None,
  "Bits of stored numbers in an exported compact file or C header: 32, or 2 to 8; "
  "config.bits of the run by default.",
)
_JSON = flags.DEFINE_bool("json", False, "Print JSON instead of a table.")


def _parse(arguments: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
  """Sets absl's flags; returns the directories to compare and (path, value) overrides.

  Raises:
    UserError: for a flag that does not exist or has no value.
  """
  overrides, rest, pending = [], [], list(arguments[1:])
  while pending:
    argument = pending.pop(0)
    if not argument.startswith(_OVERRIDE):
      rest.append(argument)
      continue
    path, has_value, text = argument.removeprefix(_OVERRIDE).partition("=")
    if not has_value:
      if not pending or pending[0].startswith("--"):
        raise UserError(f"{argument} needs a value: {argument}=VALUE.")
      text = pending.pop(0)
    overrides.append((path, text))
  try:
    left = flags.FLAGS([arguments[0], *rest])
  except flags.UnrecognizedFlagError as error:
    known = [name for name in flags.FLAGS if not name.startswith("_")]
    told = codec.nearest(error.flagname, known)
    raise UserError(f"There is no flag --{error.flagname}.{told}") from None
  except flags.Error as error:
    raise UserError(str(error).replace("\n", " ")) from None
  if left[1:] and _MODE.value != "compare":
    raise UserError(f"{left[1]!r} is not a flag; flags start with --.")
  return left[1:], overrides


def _configuration(overrides: Sequence[tuple[str, str]]) -> config.Config:
  """The experiment with everything that the command line changes."""
  if _EXPERIMENT.value is None:
    names = ", ".join(experiment.shipped())
    raise UserError(f"--experiment=NAME is needed. Shipped: {names}.")
  chosen = experiment.load_experiment(_EXPERIMENT.value)
  for field, value in (("dataset", _DATASET.value), ("data_dir", _DATA_DIR.value)):
    if value is not None:
      data = dataclasses.replace(chosen.data, **{field: value})
      chosen = dataclasses.replace(chosen, data=data)
  for path, text in overrides:
    chosen = config.override(chosen, path, text)
  return chosen


def _workdir() -> Path:
  """The run directory that the flags name."""
  if _WORKDIR.value is not None:
    return Path(_WORKDIR.value).expanduser()
  if _EXPERIMENT.value is None:
    raise UserError("--workdir=DIR or --experiment=NAME is needed.")
  return Path("runs") / Path(_EXPERIMENT.value).stem


def _print(table: Callable[[], str], data: Any) -> None:
  print(json.dumps(data, indent=2) if _JSON.value else table())


def _train(overrides: Sequence[tuple[str, str]]) -> None:
  from neural_epitome.training import loop

  report = loop.run(_configuration(overrides), _workdir(), quiet=_JSON.value)
  if _JSON.value:
    print(json.dumps(report, indent=2))


def _plan(overrides: Sequence[tuple[str, str]]) -> None:
  from neural_epitome.report import summary, tables
  from neural_epitome.training import setup

  chosen = _configuration(overrides)
  inventory, plan = setup.plan(chosen)
  price = summary.prices(chosen, plan, inventory)
  data = {"config": codec.encode(chosen), "plan": codec.encode(plan), "price": price}
  _print(
    lambda: "\n\n".join(
      [tables.plan_table(plan, inventory), tables.price_table(price)]
    ),
    data,
  )


def _load(overrides: Sequence[tuple[str, str]]) -> Any:
  """The trained network of the run directory, its data options overridden."""
  from neural_epitome.training import loading

  trained = loading.load(_workdir(), weights=_WEIGHTS.value)
  chosen = trained.config
  for field, value in (("dataset", _DATASET.value), ("data_dir", _DATA_DIR.value)):
    if value is not None:
      chosen = config.override(chosen, f"data.{field}", json.dumps(value))
  for path, text in overrides:
    if not path.startswith("data."):
      raise UserError(
        f"--config.{path} cannot change a trained network; only config.data can."
      )
    chosen = config.override(chosen, path, text)
  return dataclasses.replace(trained, config=chosen)


def _evaluate(overrides: Sequence[tuple[str, str]]) -> None:
  from tabulate import tabulate

  from neural_epitome.training import loading

  trained = _load(overrides)
  found = loading.evaluate(trained)
  found = {
    "experiment": trained.config.name,
    "dataset": trained.config.data.dataset,
    "split": trained.config.data.evaluation_split,
    "step": trained.step,
    "weights": trained.weights,
  } | found
  _print(lambda: tabulate(found.items(), tablefmt="plain", floatfmt=".4f"), found)


def _predict(overrides: Sequence[tuple[str, str]]) -> None:
  from tabulate import tabulate

  from neural_epitome.training import loading

  if not _IMAGES.value:
    raise UserError("--mode=predict needs --images=FILE[,FILE...].")
  files = [file for value in _IMAGES.value for file in value.split(",") if file]
  rows = loading.predict(_load(overrides), files)
  told = [
    [row["image"], *(f"{c['class']} {c['probability']:.1%}" for c in row["top"])]
    for row in rows
  ]
  _print(lambda: tabulate(told, ["image", "first", "second", "third"]), rows)


def _compare(directories: Sequence[str], overrides: Sequence[tuple[str, str]]) -> None:
  from neural_epitome.report import comparison, comparison_page, runs

  if not directories:
    raise UserError("--mode=compare needs directories of runs: --mode=compare DIR...")
  if overrides:
    raise UserError(f"--config.{overrides[0][0]} changes nothing in finished runs.")
  rows, left_out = runs.rows(runs.find(directories), weights=_WEIGHTS.value)
  summary = comparison.summarise(rows, _BASELINE.value or comparison.BASELINES)
  output = Path(_OUTPUT.value or "comparison").expanduser()
  files = comparison_page.write(output, summary, left_out)

  def table() -> str:
    told = comparison_page.left_out_lines(left_out)
    parts = [comparison.table(summary), *(f"left out: {line}" for line in told)]
    return "\n".join([*parts, f"page: {files[0]}"])

  data = comparison_page.as_json(summary, left_out)
  _print(table, data | {"files": [str(file) for file in files]})


def _export(overrides: Sequence[tuple[str, str]]) -> None:
  from neural_epitome.export import job
  from neural_epitome.report import tables

  found = job.export(
    _load(overrides),
    Path(_OUTPUT.value or "exported").expanduser(),
    [name for value in _FORMAT.value for name in value.split(",") if name],
    execution=_EXECUTION.value,
    bits=_BITS.value,
    quiet=_JSON.value,
  )
  _print(lambda: tables.export_table(found), found)


def _list(overrides: Sequence[tuple[str, str]]) -> None:
  del overrides
  from tabulate import tabulate

  found = {n: experiment.summary(f) for n, f in experiment.shipped().items()}
  modes = dict(part.split(": ", 1) for part in flags.FLAGS["mode"].help.split("; "))

  def table() -> str:
    parts = [
      tabulate(found.items(), ["--experiment", "what it trains"]),
      tabulate(modes.items(), ["--mode", "what it does"]),
    ]
    return "\n\n".join(parts)

  _print(table, {"experiments": found, "modes": modes})


MODES = {
  "train": _train,
  "evaluate": _evaluate,
  "plan": _plan,
  "predict": _predict,
  "compare": _compare,
  "export": _export,
  "list": _list,
}


def main(arguments: Sequence[str]) -> int:
  """Runs one job.

  Args:
    arguments: the command line, program name first.

  Returns:
    The exit code: 0, or 1 after telling the user what to change.
  """
  allocator.keep_freed_memory()
  if {"--help", "-help", "-h"} & set(arguments):
    # absl's own --help exits with 1, as if asking were a mistake.
    print(__doc__)
    print(flags.FLAGS.module_help(flags.FLAGS.find_module_defining_flag("mode")))
    return 0
  try:
    directories, overrides = _parse(arguments)
    if _MODE.value not in MODES:
      told = codec.nearest(_MODE.value, MODES)
      raise UserError(f"There is no mode {_MODE.value!r}.{told}")
    if _MODE.value == "compare":
      _compare(directories, overrides)
    else:
      MODES[_MODE.value](overrides)
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return 1
  except KeyboardInterrupt:
    print("Interrupted; the same command resumes.", file=sys.stderr)
    return 130
  except BrokenPipeError:
    return 0
  return 0


def entry() -> None:
  """The console script."""
  sys.exit(main(sys.argv))


if __name__ == "__main__":
  entry()
