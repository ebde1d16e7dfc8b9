"""What a dense teacher gives the methods, all of them alike.

  python -m benchmarks.controls.distillation --minutes=60

The small image suite of `benchmarks.controls` at one rate: every method with the trial
that was chosen there, on labels alone, and the dense network's answers for half of the
loss. A seed has one teacher, a dense network of another seed; the dense network is
taught by it too. A row a run in results/distillation.csv; the runs on labels alone are
rows of results/controls.csv.
"""

import argparse
import dataclasses
import math
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import common, workers
from benchmarks.controls import suites as control_suites
from benchmarks.controls.comparison import Job
from benchmarks.controls.methods import METHODS
from benchmarks.controls.rows import append, commit, read, trial_text
from neural_epitome.errors import UserError

TAUGHT = ("dense", "width", "tile", "random_uneven", "learned")
# A run is known by these; the rest is what it found.
KEY = ("backbone", "dataset", "method", "rate", "seed")
COLUMNS = (
  *KEY,
  "teacher_top1",
  "stored_params",
  "top1",
  "seconds",
  "device",
  "commit",
  "command",
)
# Teachers' seeds begin here: no student has them.
TEACHER_SEED = 100


def chosen(rows: Sequence[Mapping[str, str]], backbone: str, method: str) -> str:
  """The trial that the comparison on labels alone tested.

  Raises:
    UserError: the method was not tested.
  """
  for row in rows:
    setting = tuple(row[name] for name in ("size", "backbone", "split", "method"))
    if setting == ("small", backbone, "test", method):
      return row["trial"]
  raise UserError(
    f"{method} was not tested on {backbone}; run python -m benchmarks.controls "
    "--suite=2d first."
  )


def job_of(
  setting: control_suites.Setting, method: str, rate: float, trial: str, seed: int
) -> Job:
  """The run of the comparison that a student is, but for its teacher.

  Raises:
    UserError: the method has no such trial any more.
  """
  for options in METHODS[method].trials:
    if trial_text(options) == trial:
      return Job(setting, method, rate, options, seed, "test")
  raise UserError(f"{method} has no trial {trial!r} any more; test it anew.")


def teach(job: Job, workdir: Path) -> dict[str, Any]:
  """Trains a teacher and leaves its directory. Runs in a process of its own."""
  import neural_epitome as ne
  from neural_epitome.runs.malloc import keep_freed_memory

  keep_freed_memory()
  report = ne.run(job.configuration(), workdir, quiet=True)
  return {"top1": 100 * report["top1"], "seconds": report["seconds"]}


def execute(job: Job, teacher: Path, workdir: Path) -> dict[str, Any]:
  """Trains a student; returns its columns. Runs in a process of its own."""
  import jax

  import neural_epitome as ne
  from neural_epitome.runs.directory import RunDirectory
  from neural_epitome.runs.malloc import keep_freed_memory

  keep_freed_memory()
  config = job.configuration()
  training = dataclasses.replace(config.training, teacher=str(teacher))
  report = ne.run(dataclasses.replace(config, training=training), workdir, quiet=True)
  shutil.rmtree(workdir, ignore_errors=True)
  return {
    "teacher_top1": round(100 * RunDirectory(teacher).saved_report()["top1"], 3),
    "stored_params": report["stored_params"],
    "top1": round(100 * report["top1"], 3),
    "seconds": report["seconds"],
    "device": jax.devices()[0].device_kind,
    "commit": commit(),
  }


def students(
  rows: Sequence[Mapping[str, str]], seeds: int, rate: float
) -> Iterator[tuple[dict[str, Any], Job, Job]]:
  """Every run: what its row is known by, the teacher's run and the student's own.

  Args:
    rows: of the comparison on labels alone, which chose the trials.
    seeds: of each method.
    rate: of all but the dense network.
  """
  for seed in range(seeds):
    for setting in control_suites.settings("2d", "small"):
      backbone = setting.backbone
      trial = chosen(rows, backbone, "dense")
      teacher = job_of(setting, "dense", 1.0, trial, TEACHER_SEED + seed)
      for method in TAUGHT:
        at = 1.0 if method == "dense" else rate
        trial = chosen(rows, backbone, method)
        known = {"backbone": backbone, "dataset": setting.dataset, "method": method}
        known |= {"rate": f"{at:g}", "seed": str(seed)}
        yield known, teacher, job_of(setting, method, at, trial, seed)


def main() -> None:
  """Runs what is missing, as far as --minutes goes; teachers first."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--rate", type=float, default=16.0)
  parser.add_argument("--minutes", type=float, default=math.inf, help="of this call")
  parser.add_argument("--workdir", type=Path, default=Path("runs/distillation"))
  arguments = parser.parse_args()
  output = common.RESULTS / "distillation.csv"
  rows = read(common.RESULTS / "controls.csv")
  done = [{name: row[name] for name in KEY} for row in read(output)]
  command = {"command": common.circumstances()["command"]}
  teachers, tasks, keys = {}, [], {}
  for known, teacher, job in students(rows, arguments.seeds, arguments.rate):
    if known in done:
      continue
    taught_by = arguments.workdir / f"teacher-{known['backbone']}-{teacher.seed}"
    teachers[taught_by.name] = (teacher, taught_by)
    label = "-".join(known.values())
    tasks.append((label, (job, taught_by, arguments.workdir / label)))
    keys[label] = known

  def show(label: str, columns: dict[str, Any]) -> str:
    del label
    return f"{columns['top1']:.2f}%  {columns['seconds']:.0f} s"

  def keep(label: str, columns: dict[str, Any]) -> str:
    append(output, keys[label] | columns | command, COLUMNS)
    return show(label, columns)

  deadline = time.monotonic() + 60 * arguments.minutes
  # One that is there is not trained again: a finished run tells its report.
  if not workers.run_all(teach, list(teachers.items()), show, deadline=deadline):
    workers.run_all(execute, tasks, keep, deadline=deadline)


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    sys.exit(f"error: {error}")
