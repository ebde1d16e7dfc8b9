"""What a fault does to a run of two processes, and what the same command makes of it.

  python -m benchmarks.faults --runs=20 --minutes=60

Two processes on this machine train a small network. At a random moment, drawn from the
kind and number of the run, comes a fault, or the data have been damaged before; then
what is broken is mended and the same command resumes. Losses of all steps are compared
with those of a run without a fault, and which examples each step read with those it
should have read. A row a fault, written as it is done, and also where the resume failed
(column `resume`); the same command goes on with those that are missing. Linux only;
`disk_full` and `read_only` need the right to mount, `date_set` a C compiler.
"""

import argparse
import csv
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.faults import data as fault_data
from benchmarks.faults import date as dates
from benchmarks.faults.runs import (
  PROCESSES,
  STEPS,
  Launch,
  metrics,
  repeated_steps,
  start,
  wrong_positions,
)
from neural_epitome.errors import UserError

NAME = "faults"
# config.data.maximum_bad_examples as it is.
LIMIT = 10
# Kinds whose run directory lies on a disk of its own.
MOUNTED = ("disk_full", "read_only")
# Column `resume` where it is as it should be.
DONE = "done"
# A whole run takes 1,300 KB, and one whose first checkpoint is being written 500.
SMALL_DISK_KB, LARGE_DISK_MB = (500, 1100), 200


# A fault waits for its moment, happens, and says when that was. It returns the moment
# that `seconds_to_end` counts from.
Fault = Callable[[Launch, random.Random], tuple[str, float]]


def _at_random_step(launch: Launch, draw: random.Random) -> str:
  step, wait = draw.randrange(1, STEPS - 4), draw.random() * 0.2
  while launch.step() < step and launch.is_running():
    time.sleep(0.02)
  time.sleep(wait)
  return f"step {launch.step()} + {wait:.2f} s"


def kill_one(launch: Launch, draw: random.Random) -> tuple[str, float]:
  """SIGKILL of one process of two."""
  victim = draw.randrange(PROCESSES)
  moment = _at_random_step(launch, draw)
  launch.processes[victim].kill()
  return f"{moment}, process {victim}", time.monotonic()


def kill_all_while_saving(launch: Launch, draw: random.Random) -> tuple[str, float]:
  """SIGKILL of all while a checkpoint is being written."""
  moment, wait = _at_random_step(launch, draw), draw.random() * 0.05
  folder = launch.workdir / "checkpoints"
  while launch.is_running() and not list(folder.glob("*tmp*")):
    pass
  time.sleep(wait)
  for process in launch.processes:
    process.kill()
  left = len(list(folder.glob("*tmp*")))
  return f"{moment}, write + {wait:.3f} s, {left} unfinished", time.monotonic()


def terminate(launch: Launch, draw: random.Random) -> tuple[str, float]:
  """SIGTERM to one process or to all."""
  targets = draw.choice([[0], [1], [0, 1]])
  moment = _at_random_step(launch, draw)
  for target in targets:
    launch.processes[target].terminate()
  return f"{moment}, to {targets}", time.monotonic()


def ctrl_c(launch: Launch, draw: random.Random) -> tuple[str, float]:
  """Ctrl-C in one process or in all, as a terminal sends it."""
  if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    raise UserError("ctrl_c: SIGINT is ignored here, as under nohup.")
  targets = draw.choice([[0], [1], [0, 1]])
  moment = _at_random_step(launch, draw)
  for target in targets:
    launch.processes[target].send_signal(signal.SIGINT)
  return f"{moment}, to {targets}", time.monotonic()


def second_run(launch: Launch, draw: random.Random) -> tuple[str, float]:
  """The same command a second time, while the first one trains."""
  moment = _at_random_step(launch, draw)
  store = launch.logs[0].parent
  second = start(launch.workdir, launch.data, store, "second")
  codes = " ".join(map(str, second.wait()))
  told = " / ".join(second.messages()) or "no message"
  since = time.monotonic()
  return f"{moment}; second: {codes}, {told}".replace(str(store), "store"), since


def read_only(launch: Launch, draw: random.Random) -> tuple[str, float]:
  """The disk of the run directory cannot be written; it can for the resume."""
  return bad_data(launch, draw)


def disk_full(launch: Launch, draw: random.Random) -> tuple[str, float]:
  """The disk of the run directory is full; there is space again for the resume."""
  del draw
  while launch.is_running():
    if any("No space left" in log.read_text() for log in launch.logs):
      break
    time.sleep(0.02)
  return f"step {launch.step()}", time.monotonic()


def bad_data(launch: Launch, draw: random.Random) -> tuple[str, float]:
  """What was damaged before the start is met."""
  del draw
  since = time.monotonic()
  while launch.is_running():
    time.sleep(0.02)
  return f"step {launch.step()}", since


def removed_records(launch: Launch, draw: random.Random) -> tuple[str, float]:
  """A file of the data goes while a run reads it; it is back for the resume."""
  moment = _at_random_step(launch, draw)
  file = draw.choice(sorted(launch.data.glob("*.array_record*")))
  aside = launch.workdir.with_name(file.name)
  file.rename(aside)
  _, since = bad_data(launch, draw)
  aside.rename(file)
  return f"{moment}, {file.name}", since


def date_set(launch: Launch, draw: random.Random) -> tuple[str, float]:
  """The date of both processes is set back or forward; it stays so for the resume."""
  hours = draw.choice([-1, 1]) * draw.uniform(0.1, 24.0)
  moment = _at_random_step(launch, draw)
  dates.set_hours(launch.logs[0].parent, hours)
  _, since = bad_data(launch, draw)
  return f"{moment}, by {hours:+.1f} h", since


def damage(kind: str, root: Path, store: Path, draw: random.Random) -> tuple[Path, str]:
  """The data of a run, and what is wrong with them."""
  if kind == "truncated_records":
    data = fault_data.make(store / "data")
    return data, fault_data.truncate(data, draw)
  if kind == "corrupt_images":
    # So few are always allowed; so many never, also where each process counts its own.
    few, many = draw.randrange(1, LIMIT + 1), draw.randrange(2 * LIMIT + 1, 40)
    chosen = draw.sample(range(fault_data.TRAIN), draw.choice([few, many]))
    return fault_data.make(store / "data", chosen), f"{len(chosen)} images"
  if kind == "removed_records":
    return fault_data.make(store / "data"), ""
  return root / "data" / "faults" / "1.0.0", ""


KINDS: dict[str, Fault] = {
  "kill_one": kill_one,
  "kill_all_while_saving": kill_all_while_saving,
  "terminate": terminate,
  "ctrl_c": ctrl_c,
  "second_run": second_run,
  "read_only": read_only,
  "disk_full": disk_full,
  "removed_records": removed_records,
  "date_set": date_set,
  "truncated_records": bad_data,
  "corrupt_images": bad_data,
}


def run(
  kind: str, number: int, root: Path, expected: dict[int, float]
) -> dict[str, Any]:
  """One fault and the resume after it, as a row of the table."""
  draw, store = random.Random(f"{kind} {number}"), root / kind / str(number)
  shutil.rmtree(store, ignore_errors=True)
  disk = store / "disk"
  disk.mkdir(parents=True)
  if kind == "disk_full":
    _mount(disk, f"size={draw.randrange(*SMALL_DISK_KB)}k")
  if kind == "read_only":
    _mount(disk, f"ro,size={LARGE_DISK_MB}m")
  try:
    workdir = disk / "run"
    data, damaged = damage(kind, root, store, draw)
    more = dates.prepare(store) if kind == "date_set" else {}
    launch = start(workdir, data, store, "fault", more)
    moment, since = KINDS[kind](launch, draw)
    codes = launch.wait()
    seconds = time.monotonic() - since
    if kind in MOUNTED and not any(codes):
      raise UserError(f"{kind} {number}: what was mounted stopped nothing.")
    if kind in MOUNTED:
      _mount(disk, f"remount,rw,size={LARGE_DISK_MB}m")
    # Nothing is kept where the data could not even be opened.
    begin, whole = 0, ""
    if (workdir / "checkpoints").exists():
      begin, whole = _newest(workdir)
    if damaged:
      fault_data.make(store / "data")
    again = start(workdir, data, store, "resume", more)
    resume = _verdict(again, store)
    losses = metrics(workdir)
    # What was done without some images learned something else.
    is_other = bool(launch.skipped())
    row = {
      "kind": kind,
      "run": number,
      "moment": f"{damaged}, {moment}" if damaged else moment,
      "seconds_to_end": round(seconds, 2),
      "exit_codes": " ".join(map(str, codes)),
      "message": " / ".join(launch.messages()).replace(str(root), "runs/faults"),
      "resume": resume.replace(str(root), "runs/faults"),
      "checkpoint_whole": whole,
      "skipped_examples_named": len(launch.skipped()),
      "losses_equal_after_resume": "" if is_other else losses == expected,
      "repeated_or_skipped_examples": wrong_positions([launch, again], begin),
    }
  finally:
    if kind in MOUNTED:
      subprocess.run(["umount", str(disk)], check=True)
  if resume == DONE:
    shutil.rmtree(disk, ignore_errors=True)
  return row


def _verdict(again: Launch, store: Path) -> str:
  """What became of the resume: `done`, or what is wrong with it."""
  codes = again.wait()
  if any(codes):
    messages = " / ".join(again.messages()) or "no message"
    return f"failed with {' '.join(map(str, codes))}: {messages} (see {store})"
  if repeated := repeated_steps(again.workdir):
    return f"steps twice: {' '.join(map(str, repeated))} (see {store})"
  return DONE


def _mount(disk: Path, options: str) -> None:
  command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
  try:
    subprocess.run(command, check=True, capture_output=True)
  except (OSError, subprocess.CalledProcessError) as error:
    raise UserError(f"This fault needs the right to mount: {error}.") from None


def _newest(workdir: Path) -> tuple[int, str]:
  """The step of the newest checkpoint that is read, 0 if none is, and in words."""
  import contextlib
  import io

  from neural_epitome.training import loading

  with contextlib.redirect_stderr(io.StringIO()) as said:
    try:
      step = loading.load(workdir).step
    except UserError as error:
      return 0, str(error).replace(str(workdir), "the directory")
  return step, said.getvalue().strip().replace("\n", " ") or f"step {step}"


def main() -> None:
  """Runs what is missing, writes results/faults.csv after each."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--runs", type=int, default=20, help="of each kind")
  parser.add_argument("--minutes", type=float, default=60.0, help="no fault later")
  parser.add_argument("--kinds", default=",".join(KINDS))
  parser.add_argument("--workdir", type=Path, default=Path("runs/faults"))
  parser.add_argument("--output", default=NAME, help="name of the table")
  options = parser.parse_args()
  deadline = time.monotonic() + 60 * options.minutes
  os.environ["JAX_PLATFORMS"] = "cpu"
  root, rows = options.workdir.absolute(), _read(options.output)
  done = {(row["kind"], int(row["run"])) for row in rows}
  reference, data = root / "reference", fault_data.make(root / "data")
  if any(start(reference, data, root / "notes", "reference").wait()):
    raise UserError(f"The run without a fault failed: see {root / 'notes'}.")
  expected = metrics(reference)
  for number in range(options.runs):
    for kind in options.kinds.split(","):
      if (kind, number) in done or time.monotonic() > deadline:
        continue
      try:
        row = run(kind, number, root, expected)
      except UserError as error:
        print(f"not run: {error}", flush=True)
        continue
      print(row, flush=True)
      rows.append(row | common.circumstances(("jax", "orbax-checkpoint")))
      _write(options.output, rows)


def _read(name: str) -> list[dict[str, Any]]:
  try:
    with (common.RESULTS / f"{name}.csv").open(newline="") as file:
      # A table without the column was written of such rows only.
      return [row | {"resume": row.get("resume", DONE)} for row in csv.DictReader(file)]
  except FileNotFoundError:
    return []


def _write(name: str, rows: list[dict[str, Any]]) -> None:
  rows = sorted(rows, key=lambda row: (list(KINDS).index(row["kind"]), int(row["run"])))
  with (common.RESULTS / f"{name}.csv").open("w", newline="") as file:
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
