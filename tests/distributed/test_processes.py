"""Real processes that train together: one run, however many, whatever ends them."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

import neural_epitome as ne
from benchmarks.faults import data as fault_data
from launch import local_cluster
from neural_epitome.config import override
from neural_epitome.data import pipeline
from neural_epitome.data.bad_examples import BadExamples
from neural_epitome.data.sources import open_source
from neural_epitome.distributed import processes
from neural_epitome.errors import UserError
from neural_epitome.runs import metrics
from neural_epitome.runs.directory import RunDirectory
from tests.launch.test_local_cluster import is_alive, wait_until
from tests.training import tiny

ROOT = pathlib.Path(__file__).parents[2]
# One worker runs these and test_loop.py: the run they compare with is made once.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("loop")]

# An experiment file. In the process whose id is named, it sends itself a signal, or
# raises an error, when the batch of a given step is read, or is slow to commit each
# checkpoint. All can note what they write, in a file for each beside the run directory.
EXPERIMENT = '''"""Tiny."""
import os, signal, sys, time

from neural_epitome.errors import UserError
from neural_epitome.training.feed import Feed
from neural_epitome.checkpointing.write_failures import WriteFailures
from tests.training import tiny

CONFIG = tiny.experiment()
process, step, event = os.environ.get("TEST_EVENT", "9 0 none").split()
plain = Feed.training


class Eventful:
  def __init__(self, batches, at):
    self.batches, self.at = batches, at
  def __iter__(self):
    return self
  def __next__(self):
    if self.at == int(step) and hasattr(signal, event):
      print("signal at", time.monotonic(), flush=True)
      os.kill(os.getpid(), getattr(signal, event))
    self.at += 1
    return next(self.batches)
  def close(self):
    self.batches.close()


def fail(self, config):
  raise UserError("One host has no data.")


def slow(barrier):
  def wait(self, **arguments):
    time.sleep(0.3)
    barrier(self, **arguments)
  return wait


def note(kind, arguments):
  writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT
  is_write = kind == "open" and (arguments[2] or 0) & writes
  if is_write or kind in ("os.mkdir", "os.rename"):
    os.write(notes, f"{arguments[0]}\\n".encode())


if event == "notes":
  (index,) = [arg[-1] for arg in sys.argv if arg.startswith("--process_id=")]
  beside = os.path.dirname(__file__)
  notes = os.open(f"{beside}/notes.{index}", os.O_CREAT | os.O_WRONLY)
  sys.addaudithook(note)

if f"--process_id={process}" in sys.argv:
  if event == "error":
    Feed.__init__ = fail
  if event == "slow":
    WriteFailures.barrier = slow(WriteFailures.barrier)
  Feed.training = lambda self, at: Eventful(plain(self, at), at)
'''


@pytest.fixture
def launch(tmp_path, compilation_cache):
  """Starts two processes on `workdir`, as a launcher's process."""
  file = tmp_path / "tiny.py"
  file.write_text(EXPERIMENT)

  def run(workdir, event="9 0 none", *more):
    variables = {
      "JAX_PLATFORMS": "cpu",
      "JAX_COMPILATION_CACHE_DIR": str(compilation_cache),
      "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
      "JAX_NUMPY_DTYPE_PROMOTION": "strict",
      "TEST_EVENT": event,
    }
    return subprocess.Popen(
      [
        *(sys.executable, "-m", "launch.local_cluster", "--processes=2", "--"),
        *(f"--experiment={file}", f"--workdir={workdir}", *more),
      ],
      cwd=ROOT,
      env=os.environ | variables,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
    )

  return run


@pytest.fixture
def start(launch):
  """Runs two processes on `workdir`: (exit code, what they print)."""

  def run(*arguments):
    with launch(*arguments) as process:
      try:
        output, _ = process.communicate(timeout=300)
      finally:
        process.kill()
    return process.returncode, output

  return run


def assert_same_losses(workdir, expected):
  lines = [metrics.read(workdir / "metrics.jsonl") for workdir in (workdir, expected)]
  assert [(r["step"], r["kind"]) for r in lines[0]] == [
    (r["step"], r["kind"]) for r in lines[1]
  ]
  for one, other in zip(*lines, strict=True):
    np.testing.assert_allclose(one["loss"], other["loss"], rtol=1e-5)


def test_one_run_in_one_and_two_processes_killed_and_terminated(whole, start, tmp_path):
  workdir = shutil.copytree(whole[0], tmp_path / "run")
  # As one process left it after three steps.
  (workdir / "status").write_text("incomplete\n")
  for step in range(4, 13):
    shutil.rmtree(workdir / f"checkpoints/{step}")

  code, output = start(workdir, "1 6 SIGKILL")
  assert code == 137, output
  (killed,) = re.findall(r"\[1\] signal at ([\d.]+)", output)
  assert time.monotonic() - float(killed) < 60, "the other ends soon"
  assert re.search(r"\[0\] error: process 1 of 2 .* is gone; the same command", output)
  assert "at step 3/12" in output

  code, output = start(workdir, "0 8 SIGTERM")
  assert code == 143, output
  assert "Stopped by SIGTERM; saved step" in output
  assert "Traceback" not in output
  half = ne.load(workdir)
  assert 5 <= half.step < 12

  ne.run(tiny.experiment(), workdir, quiet=True)
  assert_same_losses(workdir, whole[0])


def test_only_process_0_writes_logs_and_reports(start, tmp_path):
  workdir = tmp_path / "run"
  code, output = start(workdir, "9 0 notes", "--config.training.tensorboard=true")
  assert code == 0, output
  assert RunDirectory(workdir).status == "done"
  written = []
  for index in range(2):
    paths = map(pathlib.Path, (tmp_path / f"notes.{index}").read_text().splitlines())
    inside = {p.relative_to(workdir) for p in paths if p.is_relative_to(workdir)}
    # Each writes its part of a checkpoint.
    # What is written whole has a name of its own until then.
    names = {re.sub(r"\.\w+\.partial$", "", p.parts[0]) for p in inside if p.parts}
    written.append(names - {"checkpoints"})
  assert {"metrics.jsonl", "events", "report", "evaluation.json"} < written[0]
  assert not written[1]
  lines = metrics.read(workdir / "metrics.jsonl")
  steps = [line["step"] for line in lines if line["kind"] == "train"]
  assert steps == list(range(1, 13))
  assert (workdir / "report/report.json").exists()
  # Every example of both processes once, those that fill the last batch not at all.
  evaluation = json.loads((workdir / "evaluation.json").read_text())
  assert evaluation["examples"] == np.sum(evaluation["confusion"]) == 50
  alone = ne.evaluate(ne.load(workdir))
  correct = sum(row["correct"] for row in evaluation["classes"])
  assert correct == round(50 * alone["top1"])
  assert "[0] Report: " in output
  assert not re.search(r"^\[1\] (?!\[Gloo\])", output, re.MULTILINE)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_all_killed_while_a_checkpoint_is_written_lose_nothing(whole, launch, tmp_path):
  workdir = tmp_path / "run"
  checkpoints = workdir / "checkpoints"
  with launch(workdir, "0 0 slow") as launcher:
    # One is whole, the next is being written.
    while len(steps := list(checkpoints.glob("*"))) < 2 or not unfinished(steps):
      assert launcher.poll() is None, launcher.communicate()[0]
      time.sleep(0.005)
    tasks = pathlib.Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children")
    children = [int(child) for child in tasks.read_text().split()]
    for process in (*children, launcher.pid):
      os.kill(process, signal.SIGKILL)
    assert len(children) == 2
  wait_until(lambda: not any(is_alive(child) for child in children))
  assert unfinished(checkpoints.iterdir())
  kept = ne.load(workdir).step
  assert kept < 12
  report = ne.run(tiny.experiment(), workdir, quiet=True)
  assert not unfinished(checkpoints.iterdir())
  assert_same_losses(workdir, whole[0])
  assert report["top1"] == pytest.approx(whole[1]["top1"])
  for kernel, expected in zip(*map(trained, (workdir, whole[0])), strict=True):
    np.testing.assert_allclose(kernel, expected, rtol=1e-4, atol=1e-5)


def unfinished(folders):
  return [folder for folder in folders if "tmp" in folder.name]


def trained(workdir):
  loaded = ne.load(workdir)
  assert loaded.step == 12
  return jax.tree.leaves(loaded.variables["params"])


def test_an_error_of_one_process_ends_all(start, tmp_path):
  code, output = start(tmp_path / "run", "1 0 error")
  assert code == 1, output
  assert "[1] error: One host has no data.\n" in output
  assert re.search(r"\[0\] error: process 1 of 2 .*: One host has no data\.\n", output)
  assert "Traceback" not in output


def test_kernels_are_fitted_by_what_layers_read_in_all_processes(
  whole, start, tmp_path
):
  changes = {
    **{"planner.rule": '{"kind": "channel_epitome"}', "indices.source": "fixed"},
    **{"training.start": str(whole[0]), "training.epochs": "0.2"},
    "training.fit_batches": "2",
  }
  flags = [f"--config.{path}={value}" for path, value in changes.items()]
  code, output = start(tmp_path / "two", "9 0 none", *flags)
  assert code == 0, output
  for count in ("2", "0"):
    config = tiny.experiment()
    for path, value in (changes | {"training.fit_batches": count}).items():
      config = override(config, path, value)
    ne.run(config, tmp_path / count, quiet=True)
  assert_same_losses(tmp_path / "two", tmp_path / "2")
  two, one, without = (
    np.asarray(ne.load(tmp_path / name).variables["params"]["conv_1"]["epitome"])
    for name in ("two", "2", "0")
  )
  assert np.linalg.norm(two - one) < 1e-4 * np.linalg.norm(one)
  assert np.linalg.norm(without - one) > 1e-2 * np.linalg.norm(one)


@pytest.fixture(scope="module")
def corrupt(tmp_path_factory):
  """Flags of a data set of JPEGs some of which are cut short, and their number."""
  folder = tmp_path_factory.mktemp("corrupt") / "data"
  folder = fault_data.make(folder, range(0, fault_data.TRAIN, 25))
  options = dataclasses.replace(tiny.experiment().data, dataset=str(folder))
  source = open_source(options, options.train_split)
  bad = BadExamples(len(source))
  with pipeline.evaluation_batches(source, options, bad=bad) as batches:
    for _ in batches:
      pass
  return [f"--dataset={folder}"], len(bad.indices)


def skipped(output):
  """How many examples each process names as left out."""
  return [output.count(f"[{index}] Skipped: example") for index in range(2)]


def test_bad_examples_of_all_processes_count_together(start, tmp_path, corrupt):
  flags, count = corrupt
  limit = f"--config.data.maximum_bad_examples={count - 1}"
  code, output = start(tmp_path / "run", "9 0 none", *flags, limit)
  assert code == 1, output
  assert all(0 < met < count for met in skipped(output)), "none met too many"
  assert re.search(rf"error: .*more than .*maximum_bad_examples={count - 1};", output)
  assert "Traceback" not in output


def test_bad_examples_of_all_processes_are_kept_for_one(start, tmp_path, corrupt):
  workdir, (flags, count) = tmp_path / "run", corrupt
  limit = f"--config.data.maximum_bad_examples={count}"
  code, output = start(workdir, "1 6 SIGTERM", *flags, limit)
  assert code == 143, output
  assert all(skipped(output))
  report = ne.run(RunDirectory(workdir).config(), workdir, quiet=True)
  assert report["bad_train_examples"] == count
  # All but the first steps know those of the other process.
  lines = [r for r in metrics.read(workdir / "metrics.jsonl") if r["kind"] == "train"]
  assert lines[-1]["bad_examples"] == count


def test_one_that_is_not_met_is_told_in_time():
  with socket.create_server(("127.0.0.1", 0)) as silent:
    address = f"127.0.0.1:{silent.getsockname()[1]}"
    done = subprocess.run(
      [
        *(sys.executable, "-m", "neural_epitome.main", "--experiment=quick"),
        *(f"--coordinator_address={address}", "--num_processes=2", "--process_id=1"),
        "--initialization_timeout=1",
      ],
      cwd=ROOT,
      env=os.environ | {"JAX_PLATFORMS": "cpu"},
      capture_output=True,
      text=True,
      timeout=120,
      check=False,
    )
  assert done.returncode == 1
  assert done.stderr.startswith(f"error: The other processes at {address} were not met")
  assert done.stderr.count("\n") == 1


ALONE = [
  {"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_JOB_ID": "7"},
  {"OMPI_COMM_WORLD_SIZE": "1"},
  {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"},
  {"KUBERNETES_SERVICE_HOST": "10.0.0.1"},
  {"TPU_WORKER_HOSTNAMES": "localhost"},
]


@pytest.mark.parametrize("environment", ALONE)
def test_one_process_in_a_cluster_waits_for_nobody(monkeypatch, environment):
  for name, value in environment.items():
    monkeypatch.setenv(name, value)
  with processes.joined():
    assert jax.process_count() == 1
    assert not jax.distributed.is_initialized()


# As the launchers tell it to process 1 of 2 on one machine.
LAUNCHERS = {
  "slurm": {
    "SLURM_JOB_ID": "{job}",
    "SLURM_STEP_NODELIST": "localhost",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "{index}",
    "SLURM_LOCALID": "{index}",
  },
  "open_mpi_4": {
    "OMPI_MCA_orte_hnp_uri": "{job4}.0;tcp://127.0.0.1:34911",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "OMPI_COMM_WORLD_RANK": "{index}",
    "OMPI_COMM_WORLD_LOCAL_RANK": "{index}",
  },
  "open_mpi_5": {
    "PMIX_NAMESPACE": "prterun-host-{job}@1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "OMPI_COMM_WORLD_RANK": "{index}",
    "OMPI_COMM_WORLD_LOCAL_RANK": "{index}",
  },
  "open_mpi_5_on_several_machines": {
    "JAX_COORDINATOR_ADDRESS": "127.0.0.1:{port}",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "1",
    "OMPI_COMM_WORLD_RANK": "{index}",
    "OMPI_COMM_WORLD_LOCAL_RANK": "0",
  },
}
COUNTS = """
import jax
from neural_epitome.distributed import processes
with processes.joined():
  print(jax.process_index(), jax.process_count())
"""


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_processes_of_a_launcher_meet(launcher):
  # The port follows from the number of the job.
  job = os.getpid()
  values = {"job": job, "job4": job * 4096, "port": local_cluster.free_port()}
  started = []
  for index in range(2):
    variables = {
      k: v.format(index=index, **values) for k, v in LAUNCHERS[launcher].items()
    }
    started.append(
      subprocess.Popen(
        [sys.executable, "-c", COUNTS],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
      )
    )
  for index, process in enumerate(started):
    output, wrong = process.communicate(timeout=120)
    assert output.split() == [str(index), "2"], wrong


UNMET = [
  (
    {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"},
    "OMPI_COMM_WORLD_SIZE=2 .*--coordinator_address=HOST:PORT .*--num_processes=1",
  ),
  (
    {
      "PMIX_NAMESPACE": "prterun-host-7@1",
      "OMPI_COMM_WORLD_SIZE": "8",
      "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
    },
    "OMPI_COMM_WORLD_SIZE=8 .*--coordinator_address=HOST:PORT",
  ),
  ({"PMI_SIZE": "4", "PMI_RANK": "0"}, "PMI_SIZE=4 .*--coordinator_address=HOST:PORT"),
  # A step, but not all that JAX reads of one.
  (
    {"SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": "2", "SLURM_PROCID": "0"},
    "SLURM_STEP_NUM_TASKS=2 .*--coordinator_address=HOST:PORT",
  ),
  (
    {"TPU_WORKER_HOSTNAMES": "a,b", "TPU_WORKER_ID": "0"},
    r"\(a,b\).*--coordinator_address, --num_processes and --process_id",
  ),
  # torchrun's.
  (
    {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"},
    "WORLD_SIZE=2 .*--coordinator_address=HOST:PORT .*--num_processes=1",
  ),
  ({"RANK": "1"}, "RANK=1 .*WORLD_SIZE .*--num_processes=1"),
  # Half of our own.
  ({"JAX_PROCESS_ID": "1"}, "--coordinator_address and --num_processes must be given"),
  ({"JAX_NUM_PROCESSES": "2"}, "--coordinator_address and --process_id must be given"),
]


# In a process of its own: JAX looks for a cluster only before the first device is used.
ASKS = """
import json, os, sys
from neural_epitome.errors import UserError
from neural_epitome.distributed import processes
for told in json.loads(sys.argv[1]):
  os.environ.update(told)
  try:
    with processes.joined():
      print("alone")
  except UserError as error:
    print(error)
  for name in told:
    del os.environ[name]
"""


def test_one_of_several_that_finds_no_other_does_not_train_alone():
  environments = [environment for environment, _ in UNMET]
  done = subprocess.run(
    [sys.executable, "-c", ASKS, json.dumps(environments)],
    cwd=ROOT,
    env=os.environ | {"JAX_PLATFORMS": "cpu"},
    capture_output=True,
    text=True,
    timeout=120,
    check=False,
  )
  lines = done.stdout.splitlines()
  assert len(lines) == len(UNMET), done.stderr
  for line, (_, words) in zip(lines, UNMET, strict=True):
    assert re.search(words, line)


def test_one_of_several_trains_alone_when_told(monkeypatch):
  for name, value in UNMET[0][0].items():
    monkeypatch.setenv(name, value)
  with processes.joined(num_processes=1):
    assert not jax.distributed.is_initialized()


def test_the_script_of_a_job_is_one_process(monkeypatch):
  # `salloc --ntasks=4` and the script of `sbatch` have the job's number of tasks.
  monkeypatch.setenv("SLURM_NTASKS", "4")
  monkeypatch.setenv("SLURM_JOB_ID", "7")
  with processes.joined():
    assert not jax.distributed.is_initialized()
  for name in ("SLURM_PROCID", "SLURM_LOCALID"):
    monkeypatch.setenv(name, "0")
  monkeypatch.setenv("SLURM_STEP_NODELIST", "node1")
  monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
  with processes.joined():
    assert not jax.distributed.is_initialized()


def test_the_environment_names_processes_as_flags_do(monkeypatch):
  monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "here:1234")
  monkeypatch.setenv("JAX_NUM_PROCESSES", "2")
  with (
    pytest.raises(UserError, match="--process_id must be given too"),
    processes.joined(),
  ):
    pass
  with (
    pytest.raises(UserError, match="--process_id=2 must lie in 0 to 1"),
    processes.joined(process_id=2),
  ):
    pass
  with processes.joined(num_processes=1):
    assert jax.process_count() == 1
