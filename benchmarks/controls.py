"""Learned epitomes against every control at the same stored size.

  python -m benchmarks.controls --suite=2d --size=small --minutes=60

Every run is a plain training run of `neural_epitome.run`, in a process of its own, as
many at a time as there are cores, each bound to one: small networks gain nothing from
a second. Its row is appended to results/controls.csv, and a run that is there is
skipped, so a suite is completed over as many calls as it takes.

With --split=validation every method's trials are run on a part of the training data;
with --split=test, the one with the best mean there, with other seeds, and the test
split is read once, when a run ends.
"""

import argparse
import csv
import dataclasses
import math
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import common, control_suites, workers
from benchmarks.control_methods import METHODS, methods_at, stored, target
from benchmarks.control_suites import Setting
from neural_epitome.allocator import keep_freed_memory
from neural_epitome.config import Config
from neural_epitome.errors import UserError

COLUMNS = (
  "suite",
  "size",
  "backbone",
  "dataset",
  "split",
  "method",
  "rate",
  "seed",
  "stored_params",
  "stored_bytes",
  "madds",
  "top1",
  "seconds",
  "device",
  "commit",
  "command",
  "trial",
)
# A run is known by these; the rest is what it found.
KEY = ("suite", "size", "backbone", "dataset", "split", "method", "rate", "seed")

VALIDATION_SEED = 1000


@dataclasses.dataclass(frozen=True)
class Job:
  """One run: where, which method at which rate, which trial, which seed."""

  setting: Setting
  method: str
  rate: float
  trial: int
  seed: int
  split: str

  def configuration(self) -> Config:
    """The configuration of the run. Raises UserError if the method cannot do it."""
    method, dense = METHODS[self.method], self.setting.dense
    config = method.configure(dense, self.rate, **method.trials[self.trial])
    if self.method not in ("dense", "int8") and not method.is_pruned:
      wanted, found = target(dense, self.rate), stored(config)
      if abs(found - wanted) > 0.01 * wanted:
        raise UserError(
          f"{self.method} stores {found:,} parameters at rate {self.rate:g}, not the "
          f"{wanted:,} of the others."
        )
    training = dataclasses.replace(config.training, seed=self.seed)
    data = config.data
    if self.split == "validation":
      train, held_out = self.setting.validation
      data = dataclasses.replace(data, train_split=train, evaluation_split=held_out)
    return dataclasses.replace(config, name=self.method, training=training, data=data)


def key(row: dict[str, Any], with_trial: bool) -> tuple[str, ...]:
  """What a row is known by, as text; numbers in one spelling."""
  told = [row[name] for name in KEY] + [row["trial"]] * with_trial
  return tuple(f"{float(v):g}" if _is_number(v) else str(v) for v in told)


def _is_number(value: Any) -> bool:
  try:
    float(value)
  except ValueError:
    return False
  return True


def read(path: Path) -> list[dict[str, str]]:
  """The rows that are there."""
  if not path.exists():
    return []
  with path.open(newline="") as file:
    return list(csv.DictReader(file))


def append(path: Path, row: dict[str, Any], columns: Sequence[str] = COLUMNS) -> None:
  """Adds a row; a column that it lacks stays empty."""
  path.parent.mkdir(parents=True, exist_ok=True)
  with path.open("a", newline="") as file:
    writer = csv.DictWriter(file, columns)
    if file.tell() == 0:
      writer.writeheader()
    writer.writerow(row)


def best_trial(rows: Iterable[dict[str, str]], wanted: dict[str, str]) -> int | None:
  """The trial with the best mean over the validation rows that agree with `wanted`.

  Of equal ones the first; None where there are no such rows.
  """
  found: dict[int, list[float]] = {}
  for row in rows:
    if all(row[name] == value for name, value in wanted.items()):
      found.setdefault(int(row["trial"]), []).append(float(row["top1"]))
  if not found:
    return None
  return max(sorted(found), key=lambda trial: statistics.fmean(found[trial]))


def jobs(arguments: argparse.Namespace, rows: list[dict[str, str]]) -> Iterator[Job]:
  """All runs of the call, those that decide most first."""
  names = arguments.methods.split(",") if arguments.methods else list(METHODS)
  for name in names:
    if name not in METHODS:
      raise UserError(f"There is no method {name!r}; there are {', '.join(METHODS)}.")
  settings = control_suites.settings(arguments.suite, arguments.size)
  settings = _named(settings, "backbone", arguments.backbones)
  settings = _named(settings, "dataset", arguments.datasets)
  validates = arguments.split == "validation"
  first = VALIDATION_SEED if validates else 0
  longest = max((len(setting.rates) for setting in settings), default=0)
  for rank in range(longest):
    for seed in range(first, first + arguments.seeds):
      for setting in settings:
        # Trials are chosen at the first rate of a setting and used at all.
        if rank >= len(setting.rates) or (validates and rank):
          continue
        if arguments.rates and setting.rates[rank] not in arguments.rates:
          continue
        for name, rate in methods_at(setting.rates, setting.brief, rank):
          if name in names:
            yield from _trials(arguments, rows, setting, name, rate, seed)


def _named(settings: list[Setting], what: str, names: str | None) -> list[Setting]:
  """The settings whose `what` is among the names; all where there are none."""
  if not names:
    return settings
  wanted, known = names.split(","), {getattr(s, what): None for s in settings}
  for name in wanted:
    if name not in known:
      raise UserError(f"There is no {what} {name!r}; there are {', '.join(known)}.")
  return [s for s in settings if getattr(s, what) in wanted]


def _trials(
  arguments: argparse.Namespace,
  rows: list[dict[str, str]],
  setting: Setting,
  name: str,
  rate: float,
  seed: int,
) -> Iterator[Job]:
  if arguments.split == "validation":
    for trial in range(len(METHODS[name].trials)):
      yield Job(setting, name, rate, trial, seed, "validation")
    return
  wanted = {
    "suite": arguments.suite,
    "size": arguments.size,
    "backbone": setting.backbone,
    "dataset": setting.dataset,
    "split": "validation",
    "method": name,
  }
  chosen = best_trial(rows, wanted)
  if chosen is None and arguments.size != "quick":
    raise UserError(
      f"{name} has no trials on {setting.backbone}, {setting.dataset}; run the same "
      "command with --split=validation first."
    )
  yield Job(setting, name, rate, chosen or 0, seed, "test")


def execute(job: Job, workdir: Path, data_dir: str | None) -> dict[str, Any]:
  """Trains; returns what the run found as columns. Runs in a process of its own."""
  import jax

  import neural_epitome as ne
  from neural_epitome.training.pruned import run_pruned

  keep_freed_memory()
  config = job.configuration()
  if data_dir is not None and config.data.dataset != "embedded":
    data = dataclasses.replace(config.data, data_dir=data_dir)
    config = dataclasses.replace(config, data=data)
  if METHODS[job.method].is_pruned:
    wanted = target(job.setting.dense, job.rate)
    report = run_pruned(config, workdir, wanted, quiet=True)
  else:
    report = ne.run(config, workdir, quiet=True)
  # Checkpoints of hundreds of runs would fill a disk.
  shutil.rmtree(workdir, ignore_errors=True)
  told = ("stored_params", "stored_bytes", "madds", "seconds")
  return {name: report[name] for name in told} | {
    "top1": round(100 * report["top1"], 3),
    "device": jax.devices()[0].device_kind,
  }


def commit() -> str:
  """The commit the numbers are of, marked if files differ from it."""
  found = subprocess.run(
    ["git", "describe", "--always", "--dirty", "--abbrev=10"],
    capture_output=True,
    text=True,
    cwd=Path(__file__).parent,
    check=False,
  )
  return found.stdout.strip() or "unknown"


def parse() -> argparse.Namespace:
  """The command line."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--suite", choices=["2d", "1d"], required=True)
  parser.add_argument("--size", choices=["small", "full", "quick"], default="small")
  parser.add_argument("--split", choices=["test", "validation"], default="test")
  parser.add_argument("--seeds", type=int, default=3)
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
  told = {
    "suite": arguments.suite,
    "size": arguments.size,
    "split": arguments.split,
    "commit": commit(),
    "command": common.circumstances()["command"],
  }
  pending, knowns = [], {}
  for job in jobs(arguments, rows):
    known = told | {
      "backbone": job.setting.backbone,
      "dataset": job.setting.dataset,
      "method": job.method,
      "rate": f"{job.rate:g}",
      "seed": job.seed,
      "trial": job.trial,
    }
    if key(known, validates) not in done:
      label = "-".join(key(known, True))
      workdir = Path(arguments.workdir) / label
      pending.append((label, (job, workdir, arguments.data_dir)))
      knowns[label] = known

  def keep(label: str, found: dict[str, Any]) -> str:
    append(arguments.output, knowns[label] | found)
    return f"{found['top1']:.2f}%  {found['seconds']:.0f} s"

  left = workers.run_all(
    execute, pending, keep, deadline=deadline, workers=arguments.workers
  )
  if left:
    print(f"out of time, {left} runs to go: the same command goes on")


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    sys.exit(f"error: {error}")
