"""Runs the evidence that is owed, the most worth first, and can be stopped at any time.

  python -m benchmarks.queue --data=DIR --workdir=runs/queue            # goes on
  python -m benchmarks.queue --workdir=runs/queue --list
  python -m benchmarks.queue --data=DIR --workdir=runs/queue --seconds=540 --only=plain

The jobs are those of `benchmarks.quality.jobs`: accuracy at equal bytes on CIFAR-100,
whose sheets (`neural_epitome.data.recipes.cifar100`) are in DIR. A job appends its row
to results/quality.csv when it is finished, and is never run again while its row is
there; killed, it goes on after its last whole epoch. Trained teachers are kept beside
it, in float16. On an accelerator the same command runs in slices of --seconds. Where
DIR holds but some of the sheets, --decode keeps those, and they are needed no more.

NNC is run by the interpreter that the environment's NNC_PYTHON names, which has the
package `nncodec`; without it its jobs stay owed.
"""

import argparse
import contextlib
import fcntl
import fnmatch
import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax

from benchmarks import common
from benchmarks.controls.rows import append, commit, read
from benchmarks.quality import images, progress
from benchmarks.quality.jobs import Job, all_jobs
from benchmarks.quality.running import Place, run
from neural_epitome.errors import UserError
from neural_epitome.runs.malloc import keep_freed_memory

COLUMNS = (
  "job",
  "network",
  "arm",
  "size",
  "bytes_ratio",
  "stored_bytes",
  "seed",
  "epochs",
  "images",
  "learning_rate",
  "tested",
  "top1",
  "top1_remeasured",
  "loss",
  "teacher_top1",
  "seconds",
  "cpu_seconds",
  "commit",
  "date",
  "device",
  "jax",
)


def work(
  jobs: Sequence[Job], place: Place, output: Path, seconds: float = math.inf
) -> None:
  """Runs what is owed of the jobs, in their order, as far as the time goes.

  Args:
    jobs: a teacher is among them or trained.
    place: of data and checkpoints.
    output: the CSV; a row that is there is never written again.
    seconds: of this call; a job that needs longer is left after a whole epoch.

  Raises:
    UserError: if another process works in `place.workdir`; at the end, if there are
      jobs that could not be run.
  """
  deadline = time.monotonic() + seconds
  # Of what runs: files may change meanwhile.
  version, failed = commit(), 0
  with _alone(place.workdir):
    for job in jobs:
      if not progress.is_owed(job, read(output), place):
        continue
      if time.monotonic() > deadline:
        return
      try:
        row = run(job, place, deadline, lambda line: print(line, flush=True))
      except UserError as error:
        failed += 1
        print(f"{job.name}: {error}", flush=True)
        continue
      if row is None:
        return
      if not any(old["job"] == job.name for old in read(output)):
        append(output, row | {"commit": version}, COLUMNS)
      place.checkpoint(job).unlink(missing_ok=True)
      print(f"{job.name}: top-1 {row['top1']:.2f}%", flush=True)
  if failed:
    raise UserError(f"{failed} jobs could not be run; see above.")


@contextlib.contextmanager
def _alone(workdir: Path) -> Iterator[None]:
  workdir.mkdir(parents=True, exist_ok=True)
  with (workdir / "lock").open("w") as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
      raise UserError(
        f"Another queue works in {workdir}: wait for it, or give another --workdir."
      ) from None
    yield


def select(pattern: str) -> list[Job]:
  """The jobs whose name has the pattern in it. Raises UserError if there are none."""
  jobs = [job for job in all_jobs() if fnmatch.fnmatchcase(job.name, f"*{pattern}*")]
  if not jobs:
    raise UserError(f"--only={pattern} matches no job; see --list.")
  return jobs


def show(jobs: Sequence[Job], output: Path, place: Place) -> None:
  """Prints how every job stands, and the sum."""
  standings = progress.standings(jobs, read(output), place)
  print(*standings, sep="\n")
  owed = [one for one in standings if one.row is None]
  known = sum(one.seconds or 0.0 for one in owed)
  unknown = sum(one.seconds is None for one in owed)
  more = f", and {unknown} of unknown time" if unknown else ""
  print(
    f"{len(standings) - len(owed)} done, {len(owed)} owed: "
    f"{progress.duration(known)}{more}"
  )


def main() -> None:
  """The command line."""
  parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
  parser.add_argument("--data", type=Path, help="folder of CIFAR-100's sheets")
  parser.add_argument("--workdir", type=Path, default=Path("runs/queue"))
  parser.add_argument("--cache", type=Path, help="decoded sheets; in --workdir")
  parser.add_argument("--output", type=Path, default=common.RESULTS / "quality.csv")
  parser.add_argument("--only", default="", help="shell pattern within a job's name")
  parser.add_argument("--seconds", type=float, default=math.inf, help="of this call")
  parser.add_argument("--list", action="store_true", help="what is done and owed")
  parser.add_argument("--decode", action="store_true", help="keep the sheets in --data")
  options = parser.parse_args()
  cache = options.cache or options.workdir / "data"
  place = Place(
    options.data, cache, options.workdir, teachers=options.output.parent / "teachers"
  )
  jobs = select(options.only)
  if options.decode:
    missing = images.decode(place.data, cache, (*images.TRAIN, images.TEST))
    print(f"missing: {', '.join(missing)}" if missing else "every sheet is decoded")
  elif options.list:
    show(jobs, options.output, place)
  else:
    keep_freed_memory()
    # A slice of minutes must not go into compiling what an earlier one compiled.
    jax.config.update("jax_compilation_cache_dir", str(options.workdir / "compiled"))
    work(jobs, place, options.output, options.seconds)


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    sys.exit(f"error: {error}")
