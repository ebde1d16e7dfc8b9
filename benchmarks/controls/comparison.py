"""Learned epitomes against every control at the same stored size.

  python -m benchmarks.controls --suite=2d --size=small --minutes=60

Every run is a plain training run of `neural_epitome.run`, in a process of its own, as
many at a time as there are cores, each bound to one: small networks gain nothing from
a second. Its row is appended to results/controls.csv, and a run that is there is
skipped, so a suite is completed over as many calls as it takes.

With --split=validation every method's trials are run on a part of the training data;
with --split=test, the one with the best mean there, with other seeds, and the test
split is read once, when a run ends. With --close_seeds=5 the dense network, `learned`
and what lies within a point of it over the first --seeds seeds get seeds up to that
number.
"""

import argparse
import dataclasses
import math
import shutil
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import common, workers
from benchmarks.controls import suites as control_suites
from benchmarks.controls.methods import (
  METHODS,
  check_pruned,
  inventory_of,
  methods_at,
  stored,
  target,
)
from benchmarks.controls.rows import append, commit, key, read, trial_means, trial_text
from benchmarks.controls.suites import Setting
from neural_epitome.config import Config
from neural_epitome.errors import UserError
from neural_epitome.runs.malloc import keep_freed_memory

VALIDATION_SEED = 1000
# Methods whose means lie within this many points of one another want more seeds.
CLOSE = 1.0


@dataclasses.dataclass(frozen=True)
class Job:
  """One run: where, which method at which rate, which trial, which seed."""

  setting: Setting
  method: str
  rate: float
  trial: Mapping[str, Any]
  seed: int
  split: str

  def configuration(self) -> Config:
    """The configuration of the run. Raises UserError if the method cannot do it."""
    method, dense = METHODS[self.method], self.setting.dense
    config = method.configure(dense, self.rate, **self.trial)
    if method.is_pruned:
      check_pruned(dense, self.rate)
    elif self.method not in ("dense", "int8"):
      target_params, params = target(dense, self.rate), stored(config)
      if abs(params - target_params) > 0.01 * target_params:
        raise UserError(
          f"{self.method} stores {params:,} parameters at rate {self.rate:g}, not the "
          f"{target_params:,} of the others."
        )
    training = dataclasses.replace(config.training, seed=self.seed)
    data = config.data
    if self.split == "validation":
      train, held_out = self.setting.validation
      data = dataclasses.replace(data, train_split=train, evaluation_split=held_out)
    return dataclasses.replace(config, name=self.method, training=training, data=data)


def jobs(arguments: argparse.Namespace, rows: list[dict[str, str]]) -> Iterator[Job]:
  """All runs of the call, those that decide most first."""
  names = arguments.methods.split(",") if arguments.methods else list(METHODS)
  for name in names:
    if name not in METHODS:
      raise UserError(f"There is no method {name!r}; there are {', '.join(METHODS)}.")
  settings = control_suites.settings(arguments.suite, arguments.size)
  settings = _named(settings, "backbone", arguments.backbones)
  settings = _named(settings, "dataset", arguments.datasets)
  _check_rates(arguments.rates, settings)
  validates = arguments.split == "validation"
  first = VALIDATION_SEED if validates else 0
  longest = max((len(setting.rates) for setting in settings), default=0)
  for rank in range(longest):
    for seed in range(first, first + max(arguments.seeds, arguments.close_seeds)):
      for setting in settings:
        # Trials are chosen at one rate of a setting and used at all.
        if rank >= len(setting.rates) or (validates and rank):
          continue
        if arguments.rates and setting.rates[rank] not in arguments.rates:
          continue
        for name, rate in methods_at(setting.rates, setting.brief, rank):
          if name not in names:
            continue
          if seed >= first + arguments.seeds and (
            validates or not _is_close(arguments, rows, setting, name, rate)
          ):
            continue
          rate = _rate_of_trials(setting, name, rate) if validates else rate
          yield from _trials(arguments, rows, setting, name, rate, seed)


def _is_close(
  arguments: argparse.Namespace,
  rows: list[dict[str, str]],
  setting: Setting,
  name: str,
  rate: float,
) -> bool:
  """Whether a method's mean is too near that of what it is held against.

  Only the first --seeds seeds decide: seeds are not added until a difference shows.
  """

  def mean(method: str, rate: float) -> float | None:
    conditions = {
      "suite": arguments.suite,
      "size": arguments.size,
      "backbone": setting.backbone,
      "dataset": setting.dataset,
      "split": "test",
      "method": method,
      "rate": f"{rate:g}",
    }
    tops = [
      float(row["top1"])
      for row in rows
      if int(row["seed"]) < arguments.seeds
      and all(row[column] == value for column, value in conditions.items())
    ]
    return statistics.fmean(tops) if len(tops) == arguments.seeds else None

  if name in ("dense", "learned"):
    return True
  # What folds is compressed little: it is held against the dense network.
  folds = name == "learned_folded"
  other = mean("dense", 1.0) if folds else mean("learned", rate)
  own = mean(name, rate)
  return own is not None and other is not None and abs(own - other) < CLOSE


def _rate_of_trials(setting: Setting, name: str, first: float) -> float:
  """The first rate that a method can reach; `first` if there is none."""
  rates = [
    rate
    for rank in range(len(setting.rates))
    for method, rate in methods_at(setting.rates, setting.brief, rank)
    if method == name
  ]
  seed, trial = VALIDATION_SEED, METHODS[name].trials[0]
  for rate in rates:
    if _can_be(Job(setting, name, rate, trial, seed, "validation")):
      return rate
  return first


def _named(settings: list[Setting], what: str, names: str | None) -> list[Setting]:
  """The settings whose `what` is among the names; all where there are none."""
  if not names:
    return settings
  requested, known = names.split(","), {getattr(s, what): None for s in settings}
  for name in requested:
    if name not in known:
      raise UserError(f"There is no {what} {name!r}; there are {', '.join(known)}.")
  return [s for s in settings if getattr(s, what) in requested]


def _check_rates(rates: Sequence[float] | None, settings: Sequence[Setting]) -> None:
  known = {rate for setting in settings for rate in setting.rates}
  for rate in rates or ():
    if rate not in known:
      choices = ", ".join(f"{value:g}" for value in sorted(known))
      raise UserError(f"--rates has {rate:g}; there are {choices}.")


def _trials(
  arguments: argparse.Namespace,
  rows: list[dict[str, str]],
  setting: Setting,
  name: str,
  rate: float,
  seed: int,
) -> Iterator[Job]:
  trials = METHODS[name].trials
  if arguments.split == "validation":
    for trial in trials:
      yield Job(setting, name, rate, trial, seed, "validation")
    return
  known = {
    "suite": arguments.suite,
    "size": arguments.size,
    "backbone": setting.backbone,
    "dataset": setting.dataset,
    "method": name,
  }
  if arguments.size == "quick":
    yield Job(setting, name, rate, trials[0], seed, "test")
    return
  means = trial_means(rows, known | {"split": "validation"})
  reached = [trial for trial in trials if trial_text(trial) in means]
  for trial in trials:
    if trial not in reached and _can_be(Job(setting, name, rate, trial, 0, "test")):
      raise UserError(
        f"{name} was not tried with {trial_text(trial)} on {setting.backbone}, "
        f"{setting.dataset}; run the same command with --split=validation first."
      )
  if not reached:
    return
  best = max(reached, key=lambda trial: means[trial_text(trial)])
  for tested in trial_means(rows, known | {"split": "test"}):
    if tested != trial_text(best):
      raise UserError(
        f"{name} on {setting.backbone}, {setting.dataset} was tested with {tested}, "
        f"and now {trial_text(best)} is ahead on the validation split; leave those "
        "rows out of the CSV and run them anew."
      )
  yield Job(setting, name, rate, best, seed, "test")


def _can_be(job: Job) -> bool:
  try:
    job.configuration()
  except UserError:
    return False
  return True


def execute(job: Job, workdir: Path, data_dir: str | None) -> dict[str, Any]:
  """Trains; returns what the run found as columns. Runs in a process of its own."""
  import jax

  import neural_epitome as ne
  from neural_epitome.report import summary
  from neural_epitome.runs.directory import RunDirectory
  from neural_epitome.training.pruning import run_pruned

  keep_freed_memory()
  config = job.configuration()
  if data_dir is not None and config.data.dataset != "embedded":
    data = dataclasses.replace(config.data, data_dir=data_dir)
    config = dataclasses.replace(config, data=data)
  began = time.monotonic()
  try:
    if METHODS[job.method].is_pruned:
      target_params = target(job.setting.dense, job.rate)
      report = run_pruned(config, workdir, target_params, quiet=True)
    else:
      report = ne.run(config, workdir, quiet=True)
  except UserError:
    if RunDirectory(workdir).status != "diverged":
      raise
    # A result too: this trial is not to be chosen, nor run again.
    from neural_epitome.training import setup

    inventory = inventory_of(config)
    report = summary.prices(config, setup.make_plan(config, inventory), inventory)
    report |= {"top1": 0.0, "seconds": round(time.monotonic() - began, 2)}
  # Checkpoints of hundreds of runs would fill a disk.
  shutil.rmtree(workdir, ignore_errors=True)
  fields = ("stored_params", "stored_bytes", "madds", "seconds")
  return {name: report[name] for name in fields} | {
    "top1": round(100 * report["top1"], 3),
    "device": jax.devices()[0].device_kind,
    "commit": commit(),
  }


def parse() -> argparse.Namespace:
  """The command line."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--suite", choices=["2d", "1d"], required=True)
  parser.add_argument("--size", choices=["small", "full", "quick"], default="small")
  parser.add_argument("--split", choices=["test", "validation"], default="test")
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument(
    "--close_seeds", type=int, default=0, help="seeds where methods are close"
  )
  parser.add_argument("--methods", help="names, commas between; all by default")
  parser.add_argument("--backbones", help="names, commas between; all by default")
  parser.add_argument("--datasets", help="names, commas between; all by default")
  parser.add_argument("--rates", type=float, nargs="*", help="all by default")
  parser.add_argument("--minutes", type=float, default=math.inf, help="of this call")
  parser.add_argument("--data_dir", help="directory of prepared data sets")
  parser.add_argument("--workdir", default="runs/controls")
  parser.add_argument("--output", type=Path, default=common.RESULTS / "controls.csv")
  parser.add_argument("--workers", type=int, help="runs at a time; one a core")
  return parser.parse_args()


def main() -> None:
  """Runs what is missing, as far as --minutes goes."""
  arguments = parse()
  deadline = time.monotonic() + 60 * arguments.minutes
  rows = read(arguments.output)
  validates = arguments.split == "validation"
  done = {key(row, validates) for row in rows}
  shared = {
    "suite": arguments.suite,
    "size": arguments.size,
    "split": arguments.split,
    "command": common.circumstances()["command"],
  }
  pending, knowns = [], {}
  for job in jobs(arguments, rows):
    known = shared | {
      "backbone": job.setting.backbone,
      "dataset": job.setting.dataset,
      "method": job.method,
      "rate": f"{job.rate:g}",
      "seed": job.seed,
      "trial": trial_text(job.trial),
    }
    if key(known, validates) not in done:
      label = "-".join(key(known, True)).replace(" ", "_")
      workdir = Path(arguments.workdir) / label
      pending.append((label, (job, workdir, arguments.data_dir)))
      knowns[label] = known

  def keep(label: str, columns: dict[str, Any]) -> str:
    append(arguments.output, knowns[label] | columns)
    return f"{columns['top1']:.2f}%  {columns['seconds']:.0f} s"

  workers.run_all(execute, pending, keep, deadline=deadline, workers=arguments.workers)
