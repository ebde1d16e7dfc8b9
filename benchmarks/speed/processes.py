"""The same training in one and several processes: its losses, and its time.

Two parts of benchmarks.speed.scale, which says what they measure.
"""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks import common, interleave
from launch import local_cluster

PROCESSES = (1, 2, 4)
STEPS = 50
Row = dict[str, Any]


def train(
  workdir: pathlib.Path, experiment: str, processes: int, epochs: float, saved: float
) -> None:
  """Trains, or resumes, in so many processes, saving every so many seconds."""
  training = {
    "epochs": epochs,
    "log_every": 1,
    "evaluate_every": 0,
    "checkpoint_every": saved,
    "keep_checkpoints": STEPS,
    "tensorboard": "false",
  }
  flags = [f"--config.training.{name}={value}" for name, value in training.items()]
  subprocess.run(
    [
      *(sys.executable, "-m", "launch.local_cluster", f"--processes={processes}", "--"),
      *(f"--experiment={experiment}", f"--workdir={workdir}", *flags),
    ],
    stdout=subprocess.DEVNULL,
    check=True,
    env=os.environ | {"JAX_PLATFORMS": "cpu"},
  )


def losses(workdir: pathlib.Path) -> dict[int, float]:
  """Loss by step."""
  lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
  return {line["step"]: line["loss"] for line in lines if line["kind"] == "train"}


def largest_difference(one: Mapping[int, float], other: Mapping[int, float]) -> float:
  """Of losses of the same steps."""
  assert one.keys() == other.keys(), "runs of different steps"
  return max(abs(one[step] - other[step]) for step in one)


def parity(experiment: str) -> Iterator[Row]:
  """Losses in any number of processes, and from checkpoints of any other."""
  from neural_epitome.experiment import load_experiment
  from neural_epitome.training.feed import Feed

  config = load_experiment(experiment)
  batch = config.data.batch_size
  epochs = STEPS * batch / Feed(config).examples
  curves: dict[int, dict[int, float]] = {}

  def row(what: str, processes: int, difference: float, **more: Any) -> Row:
    values = {"value": f"{difference:.3g}", "unit": "nats", "batch": batch}
    shared = {"experiment": experiment, "processes": processes}
    return {"part": "parity", "what": what} | shared | values | more

  with tempfile.TemporaryDirectory() as folder:
    for processes in PROCESSES:
      workdir = pathlib.Path(folder) / str(processes)
      train(workdir, experiment, processes, epochs, 0.5)
      curves[processes] = losses(workdir)
      assert len(curves[processes]) == STEPS
      difference = largest_difference(curves[processes], curves[PROCESSES[0]])
      yield row("whole_run", processes, difference)
    for saver in PROCESSES:
      for restorer in PROCESSES:
        if restorer == saver:
          continue
        workdir = pathlib.Path(folder) / f"{saver}-{restorer}"
        step = half_a_run(pathlib.Path(folder) / str(saver), workdir)
        train(workdir, experiment, restorer, epochs, 60.0)
        resumed = losses(workdir)
        difference = largest_difference(resumed, curves[saver])
        what = f"resumed_at_step_{step}"
        yield row(what, saver, difference, resumed_in=restorer)


def half_a_run(whole: pathlib.Path, half: pathlib.Path) -> int:
  """Copies a run as it was at a checkpoint of about half its steps; returns which."""
  shutil.copytree(whole, half)
  (half / "status").write_text("incomplete\n")
  shutil.rmtree(half / "report")
  checkpoints = {int(p.name): p for p in (half / "checkpoints").iterdir()}
  kept = min(checkpoints, key=lambda step: abs(step - STEPS // 2))
  assert kept < STEPS, "no checkpoint before the end: save more often"
  for step, path in checkpoints.items():
    if step > kept:
      shutil.rmtree(path)
  return kept


def step_time(experiment: str, batch: int, cores: int, rounds: int) -> Iterator[Row]:
  """Milliseconds of a step in one and several processes, in turn."""
  workers = {}
  for processes in PROCESSES:
    address = f"127.0.0.1:{local_cluster.free_port()}"
    print(f"{experiment}: {processes} processes", file=sys.stderr, flush=True)
    shared = [experiment, str(batch), str(cores), address, str(processes)]
    arguments = [[*shared, str(index)] for index in range(processes)]
    workers[processes] = interleave.Worker("benchmarks.speed.processes", *arguments)
  taken = interleave.alternate(workers, rounds)
  for worker in workers.values():
    worker.close()
  times = {count: [turn["clock"] for turn in turns] for count, turns in taken.items()}
  for processes, clock in times.items():
    yield {
      "part": "step",
      "what": "median_step",
      "experiment": experiment,
      "processes": processes,
      "batch": batch,
      "cores": cores,
      "rounds": rounds,
      "value": round(1e3 * statistics.median(clock), 1),
      "unit": "ms",
      "ratio": round(common.paired_ratio(clock, times[PROCESSES[0]]), 3),
    }


def work(
  experiment: str, batch: int, cores: int, address: str, count: int, index: int
) -> None:
  """One of the processes of a case: the clock of one step, each turn."""
  import jax

  from benchmarks.speed.step_time import make_step
  from neural_epitome.config import override
  from neural_epitome.distributed import devices, processes
  from neural_epitome.experiment import load_experiment

  jax.config.update("jax_platforms", "cpu")
  with processes.joined(address, count, index):
    devices.use_compilation_cache()
    config = override(load_experiment(experiment), "data.batch_size", str(batch))
    run = make_step(config)
    # All processes of a case share these cores, as one process has them. Compilation,
    # which is behind us, may use all.
    chosen = sorted(os.sched_getaffinity(0))[:cores]
    for thread in os.listdir("/proc/self/task"):
      os.sched_setaffinity(int(thread), chosen)
    run()

    def turn() -> dict[str, float]:
      begin = time.perf_counter()
      run()
      return {"clock": time.perf_counter() - begin}

    interleave.serve({}, turn)


if __name__ == "__main__":
  name, address = sys.argv[1], sys.argv[4]
  work(name, int(sys.argv[2]), int(sys.argv[3]), address, *map(int, sys.argv[5:]))
