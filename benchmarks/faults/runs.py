"""Two processes of one run, and what each of them read and said; see `faults`."""

import collections
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.faults import data as fault_data
from launch import local_cluster

PROCESSES, BATCH, EPOCHS = 2, 32, 2
STEPS = EPOCHS * fault_data.TRAIN // BATCH
LIMIT_SECONDS = 1800.0
FLAGS = [
  *("--experiment={experiment}", "--workdir={workdir}", "--dataset={data}"),
  *("--config.data.train_split=train", "--config.data.evaluation_split=test"),
  f"--config.training.epochs={EPOCHS}",
  "--config.training.log_every=1",
  "--config.training.checkpoint_every=0",
  "--config.training.evaluate_every=0",
  "--config.training.reestimation_batches=0",
  "--config.training.tensorboard=false",
  "--config.model.width=0.25",
  "--config.indices.source=fixed",
  "--config.training.ema_decay=0",
]
# Of the page that JAX prints as it ends a process.
_FATAL = "the JAX distributed service detected fatal errors"
# As `quick`; it also writes which examples each step reads.
EXPERIMENT = '''"""As quick; every process notes the positions that it reads."""

import json, os

from experiments.quick import CONFIG  # noqa: F401
from neural_epitome.training.feed import Feed

plain = Feed.training


def noted(batches, step, file):
  try:
    for batch in batches:
      file.write(json.dumps([step, batch["position"].tolist()]) + "\\n")
      file.flush()
      step += 1
      yield batch
  finally:
    batches.close()


def training(self, step):
  return noted(plain(self, step), step, open(os.environ["POSITIONS"], "w"))


Feed.training = training
'''


@dataclasses.dataclass
class Launch:
  """Two processes of one run.

  Attributes:
    processes: the processes.
    workdir: the run directory.
    data: what it reads.
    logs: what each prints.
    positions: what each reads.
  """

  processes: list[subprocess.Popen]
  workdir: Path
  data: Path
  logs: list[Path]
  positions: list[Path]

  def is_running(self) -> bool:
    """Whether one of them is."""
    return any(process.poll() is None for process in self.processes)

  def wait(self) -> list[int]:
    """Exit codes, once all have ended."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while self.is_running():
      if time.monotonic() > deadline:
        for process in self.processes:
          process.kill()
      time.sleep(0.02)
    return [process.wait() for process in self.processes]

  def step(self) -> int:
    """The newest step that is measured."""
    lines = metrics(self.workdir)
    return max(lines, default=0)

  def messages(self) -> list[str]:
    """The lines that say why they ended, the same line of several once."""
    lines = [
      _FATAL if _FATAL in line else line.removeprefix("error: ")
      for log in self.logs
      for line in log.read_text().splitlines()
      if line.startswith(("error: ", "Stopped by")) or _FATAL in line
    ]
    return list(dict.fromkeys(lines))

  def skipped(self) -> set[str]:
    """The examples that were named as left out."""
    return {
      line
      for log in self.logs
      for line in log.read_text().splitlines()
      if line.startswith("Skipped: ")
    }


def start(
  workdir: Path,
  data: Path,
  store: Path,
  label: str,
  more: Mapping[str, str] | None = None,
) -> Launch:
  """Starts two processes that train on `data` in `workdir`; notes lie in `store`.

  They have the variables `more` beside those of this process.
  """
  store.mkdir(parents=True, exist_ok=True)
  experiment = store / "quick_noted.py"
  experiment.write_text(EXPERIMENT)
  flags = [
    flag.format(experiment=experiment, workdir=workdir, data=data) for flag in FLAGS
  ]
  address = f"127.0.0.1:{local_cluster.free_port()}"
  launch = Launch([], workdir, data, [], [])
  for index in range(PROCESSES):
    log, positions = (store / f"{label}.{index}.{end}" for end in ("log", "positions"))
    variables = local_cluster.environment(os.environ, index, PROCESSES)
    variables |= {
      "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
      "POSITIONS": str(positions),
      **(more or {}),
    }
    positions.write_text("")
    with log.open("w") as output:
      launch.processes.append(
        subprocess.Popen(
          [
            *(sys.executable, "-u", "-m", "neural_epitome.main", *flags),
            *(f"--coordinator_address={address}", f"--num_processes={PROCESSES}"),
            f"--process_id={index}",
          ],
          env=variables,
          stdin=subprocess.DEVNULL,
          stdout=output,
          stderr=subprocess.STDOUT,
        )
      )
    launch.logs.append(log)
    launch.positions.append(positions)
  return launch


def metrics(workdir: Path) -> dict[int, float]:
  """Training loss by step, the last one where a step stands twice."""
  return {line["step"]: line["loss"] for line in _lines(workdir)}


def repeated_steps(workdir: Path) -> list[int]:
  """The steps that stand twice among the metrics."""
  counts = collections.Counter(line["step"] for line in _lines(workdir))
  return sorted(step for step, count in counts.items() if count > 1)


def _lines(workdir: Path) -> list[dict]:
  from neural_epitome.runs import metrics as logs

  return [r for r in logs.read(workdir / "metrics.jsonl") if r["kind"] == "train"]


def wrong_positions(launches: list[Launch], begin: int) -> int:
  """Examples that a step read and should not have, or should have and did not.

  Every launch is looked at: what it read ahead of a fault counts as well.

  Args:
    launches: of one run, the last of them the resume.
    begin: the step of the checkpoint that the resume had.
  """
  wrong = 0
  for launch in launches:
    read: dict[int, list[int]] = {}
    complete: dict[int, int] = {}
    for step, positions in itertools.chain(*map(_noted, launch.positions)):
      read.setdefault(step, []).extend(positions)
      complete[step] = complete.get(step, 0) + 1
    for step, positions in read.items():
      expected = set(range(step * BATCH, (step + 1) * BATCH))
      wrong += len(set(positions) - expected) + len(positions) - len(set(positions))
      if complete[step] == PROCESSES:
        wrong += len(expected - set(positions))
  # The resume reads all that is left, and one that was done before it reads nothing.
  last = {step for file in launches[-1].positions for step, _ in _noted(file)}
  return wrong + BATCH * len(last ^ set(range(begin, STEPS)))


def _noted(file: Path) -> Iterator[tuple[int, list[int]]]:
  for line in file.read_text().splitlines():
    try:
      step, positions = json.loads(line)
    except json.JSONDecodeError:
      continue  # cut short by the kill
    yield step, positions
