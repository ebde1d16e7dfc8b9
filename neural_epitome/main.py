"""The command line: flags -> experiment -> one job.

  python -m neural_epitome.main --experiment=mbv2_epitome
  python -m neural_epitome.main --mode=list
  python -m neural_epitome.main --mode=compare runs

Any field of the experiment's configuration is set by a flag of its dotted name, as
in --config.optimizer.learning_rate=0.1; --mode=plan --json prints them all.
"""

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from neural_epitome import allocator, codec, config, experiment
from neural_epitome import command_line as given
from neural_epitome.errors import UserError


def _print(table: Callable[[], str], data: Any) -> None:
  print(json.dumps(data, indent=2) if given.JSON.value else table())


@contextlib.contextmanager
def _joined(*, is_preemptible: bool) -> Iterator[bool]:
  """Runs the body in all processes of the job; yields whether this is the first."""
  import jax

  from neural_epitome.training import distributed, maintenance

  is_watched = is_preemptible and given.MAINTENANCE_NOTICES.value
  with (
    distributed.joined(
      given.COORDINATOR_ADDRESS.value,
      given.NUM_PROCESSES.value,
      given.PROCESS_ID.value,
      timeout=given.INITIALIZATION_TIMEOUT.value,
      is_preemptible=is_preemptible,
    ),
    maintenance.watched(is_watched),
  ):
    yield jax.process_index() == 0


def _train(overrides: Sequence[tuple[str, str]]) -> None:
  from neural_epitome.training import loop, profiling

  text = given.PROFILE_STEPS.value
  profile_steps = None if text is None else profiling.parse_steps(text)
  with _joined(is_preemptible=True) as is_first:
    report = loop.run(
      given.configuration(overrides),
      given.workdir(),
      quiet=given.JSON.value,
      profile_steps=profile_steps,
    )
    if given.JSON.value and is_first:
      print(json.dumps(report, indent=2))


def _plan(overrides: Sequence[tuple[str, str]]) -> None:
  from neural_epitome.report import summary, tables
  from neural_epitome.training import setup

  chosen, told = given.configuration(overrides), []
  if given.BUDGET.value is not None:
    chosen, told = _allocated(chosen)
  elif given.ALLOCATION.value is not None:
    raise UserError(f"--allocation={given.ALLOCATION.value} needs --budget=SIZE.")
  inventory, plan = setup.plan(chosen)
  price = summary.prices(chosen, plan, inventory)
  data = {"config": codec.encode(chosen), "plan": codec.encode(plan), "price": price}
  _print(
    lambda: "\n\n".join(
      [tables.plan_table(plan, inventory), tables.price_table(price), *told]
    ),
    data,
  )


def _allocated(chosen: config.Config) -> tuple[config.Config, list[str]]:
  """The experiment with the planner that --budget asks for, and how to use it."""
  from neural_epitome.search import allocation

  directory = Path(given.WORKDIR.value or f"runs/{chosen.name}_allocation").expanduser()
  path = Path(given.OUTPUT.value or directory / "planner.json").expanduser()
  if path.is_dir():
    raise UserError(f"--output={path} is a directory; name the planner's file.")
  planner = allocation.allocate(
    chosen,
    given.BUDGET.value,
    given.ALLOCATION.value,
    directory,
    quiet=given.JSON.value,
  )
  text = json.dumps(codec.encode(planner))
  told = f"'{text}'"
  if given.OUTPUT.value or given.ALLOCATION.value in ("sensitivity", "searched"):
    try:
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
      raise UserError(f"--output={path}: {error.strerror}.") from None
    told = f"@{path}"
  found = dataclasses.replace(chosen, planner=planner)
  return found, [f"Train it with --config.planner={told}"]


def _load(overrides: Sequence[tuple[str, str]]) -> Any:
  """The trained network of the run directory, its data options overridden."""
  from neural_epitome.training import loading

  trained = loading.load(given.workdir(), weights=given.WEIGHTS.value)
  chosen = trained.config
  for field, value in (
    ("dataset", given.DATASET.value),
    ("data_dir", given.DATA_DIR.value),
  ):
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

  with _joined(is_preemptible=False) as is_first:
    trained = _load(overrides)
    found = loading.evaluate(trained)
    found = {
      "experiment": trained.config.name,
      "dataset": trained.config.data.dataset,
      "split": trained.config.data.evaluation_split,
      "step": trained.step,
      "weights": trained.weights,
    } | found
    if is_first:
      _print(lambda: tabulate(found.items(), tablefmt="plain", floatfmt=".4f"), found)


def _predict(overrides: Sequence[tuple[str, str]]) -> None:
  from tabulate import tabulate

  from neural_epitome.training import loading

  if not given.IMAGES.value:
    raise UserError("--mode=predict needs --images=FILE[,FILE...].")
  files = [file for value in given.IMAGES.value for file in value.split(",") if file]
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
  rows, left_out = runs.rows(runs.find(directories), weights=given.WEIGHTS.value)
  summary = comparison.summarise(rows, given.BASELINE.value or comparison.BASELINES)
  output = Path(given.OUTPUT.value or "comparison").expanduser()
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
    Path(given.OUTPUT.value or "exported").expanduser(),
    [name for value in given.FORMAT.value for name in value.split(",") if name],
    execution=given.EXECUTION.value,
    bits=given.BITS.value,
    quiet=given.JSON.value,
  )
  _print(lambda: tables.export_table(found), found)


def _search(overrides: Sequence[tuple[str, str]]) -> None:
  from neural_epitome.search import job

  stages = [name for value in given.STAGES.value for name in value.split(",") if name]
  for name in stages:
    if name not in job.STAGES:
      told = codec.nearest(name, job.STAGES)
      raise UserError(f"--stages={name} is no stage of a search.{told}")
  with _joined(is_preemptible=True) as is_first:
    report = job.run(
      given.configuration(overrides),
      given.workdir(),
      stages or job.STAGES,
      quiet=given.JSON.value,
      command=given.command(overrides, without="stages"),
    )
    if is_first:
      from neural_epitome.report import search_page

      _print(lambda: search_page.result_table(report), report)


def _latency_table(overrides: Sequence[tuple[str, str]]) -> None:
  from neural_epitome.report import search_page
  from neural_epitome.search import latency_measurement

  chosen = given.configuration(overrides)
  path = Path(given.OUTPUT.value or f"latency_{chosen.name}.json").expanduser()
  table = latency_measurement.write(
    chosen,
    path,
    batch=given.BATCH.value,
    networks=given.NETWORKS.value,
    quiet=given.JSON.value,
  )
  data = search_page.latency_summary(table) | {"file": str(path)}
  _print(lambda: search_page.pairs(data), data)


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
  "search": _search,
  "latency_table": _latency_table,
  "list": _list,
}

# Those that several processes can do together.
_TOGETHER = ("train", "evaluate", "search")


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
    directories, overrides = given.parse(arguments)
    if given.MODE.value not in MODES:
      told = codec.nearest(given.MODE.value, MODES)
      raise UserError(f"There is no mode {given.MODE.value!r}.{told}")
    if given.MODE.value != "plan" and given.BUDGET.value is not None:
      raise UserError(
        "--budget is of --mode=plan, which says with which --config.planner the other "
        "modes meet it."
      )
    if given.names_processes() and given.MODE.value not in _TOGETHER:
      raise UserError(f"--mode={given.MODE.value} runs in one process.")
    if given.MODE.value == "compare":
      _compare(directories, overrides)
    else:
      MODES[given.MODE.value](overrides)
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
