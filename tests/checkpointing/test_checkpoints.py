"""Checkpoints come back whole or not at all."""

import contextlib
import errno
import os
import pathlib
import re
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from launch import local_cluster
from neural_epitome.checkpointing import checkpoints as module
from neural_epitome.checkpointing.checkpoints import Checkpoints
from neural_epitome.checkpointing.errors import is_disk_full, unreachable
from neural_epitome.distributed import devices
from neural_epitome.errors import UserError
from neural_epitome.training.state import State
from tests import disks

PLAN = {"plan": {"kernels": {"a": 1}}}


def make_state(step, size=64):
  def make():
    return State(
      step=jnp.int32(step),
      params={"a": {"epitome": jax.random.normal(jax.random.key(step), (size, size))}},
      batch_stats={},
      routing={"a": {"map": {"input": jnp.arange(4.0)}, "frozen": jnp.array(True)}},
      opt_state=({}, (jnp.zeros(2, jnp.int32),)),
      ema={},
    )

  replicated = NamedSharding(devices.make_mesh(), PartitionSpec())
  return jax.jit(make, out_shardings=replicated)()


def save(directory, *steps, keep=2):
  with contextlib.closing(Checkpoints(directory, keep, PLAN)) as checkpoints:
    for step in steps:
      checkpoints.save(make_state(step), seconds=float(step))
    checkpoints.wait()
    return checkpoints.steps()


def restore(directory, record=PLAN, keep=2):
  said = []
  with contextlib.closing(Checkpoints(directory, keep, record)) as checkpoints:
    return checkpoints.restore(make_state(0), said.append), said


@pytest.fixture(scope="module")
def two(tmp_path_factory):
  directory = tmp_path_factory.mktemp("checkpoints") / "c"
  assert save(directory, 1, 2, 3) == [2, 3], "the newest two are kept"
  return directory


@pytest.fixture
def copy(two, tmp_path):
  return shutil.copytree(two, tmp_path / "c")


def test_the_newest_comes_back_bit_for_bit_with_its_record(copy):
  (state, record), said = restore(copy)
  jax.tree.map(np.testing.assert_array_equal, state, make_state(3))
  assert record == PLAN | {"seconds": 3.0}
  assert said == []


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["half", "gone"])
def test_damage_to_any_file_is_harmless_or_falls_back_and_says_so(
  two, tmp_path, damage
):
  files = [f for f in sorted((two / "3").rglob("*")) if f.is_file()]
  largest = max(files, key=lambda f: f.stat().st_size)
  chosen = {largest, two / "3/state/manifest.ocdbt", two / "3/record/metadata"}
  for number, file in enumerate(sorted(chosen)):
    directory = shutil.copytree(two, tmp_path / str(number))
    victim = directory / file.relative_to(two)
    if damage == "half":
      victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    else:
      victim.unlink()
    (state, _), said = restore(directory)
    jax.tree.map(np.testing.assert_array_equal, state, make_state(2))
    (line,) = said
    assert line.startswith("Checkpoint of step 3 cannot be read (")
    assert line.endswith("falling back to the one of step 2.")
    assert "\n" not in line
    # Nothing is lost, and training can write step 3 again.
    assert (tmp_path / f"{number}_set_aside" / "3.0").is_dir()
    assert save(directory, 3) == [2, 3]


@pytest.fixture
def flaky(monkeypatch):
  """Makes the first `count` reads fail with an error; returns the attempts."""

  def fail(error, count):
    plain, attempts = Checkpoints._load, []

    def load(self, step, arguments):
      attempts.append(step)
      if len(attempts) <= count:
        raise error
      return plain(self, step, arguments)

    monkeypatch.setattr(Checkpoints, "_load", load)
    monkeypatch.setattr(module, "RETRY_SECONDS", (0.0, 0.0))
    return attempts

  return fail


PASSING = [
  OSError(errno.EIO, "Input/output error"),
  PermissionError(errno.EACCES, "Permission denied"),
  ValueError("UNAVAILABLE: Error opening the bucket"),
  ValueError("Error reading d/1: [OS error 116: ESTALE Stale file handle]"),
  MemoryError(),
]


@pytest.mark.slow
@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_passes_is_tried_again(copy, flaky, error):
  attempts = flaky(error, 2)
  (state, _), said = restore(copy)
  assert (int(state.step), said, attempts) == (3, [], [3, 3, 3])


@pytest.mark.slow
def test_what_does_not_pass_is_told_and_no_checkpoint_is_set_aside(copy, flaky):
  attempts = flaky(OSError(errno.EIO, "Input/output error"), 9)
  with pytest.raises(
    UserError, match=r"step 3 cannot be read \(OSError.* kept"
  ) as caught:
    restore(copy)
  assert "\n" not in str(caught.value)
  assert attempts == [3, 3, 3]
  assert (copy / "3").is_dir()
  assert not copy.with_name("c_set_aside").exists()


# Process 1 finds the newest checkpoint damaged so many times.
PROCESS = """
import pathlib, sys
import jax
from neural_epitome.checkpointing import checkpoints as module
from neural_epitome.distributed import processes
from tests.checkpointing import test_checkpoints as tests

address, index, times, directory = sys.argv[1:]
plain, attempts = module.Checkpoints._load, []

def load(self, step, arguments):
  attempts.append(step)
  if index == "1" and step == 3 and len(attempts) <= int(times):
    raise ValueError("DATA_LOSS: half a file")
  return plain(self, step, arguments)

module.Checkpoints._load = load
module.RETRY_SECONDS = (0.0, 0.0)
with processes.joined(address, 2, int(index)):
  (state, _), said = tests.restore(pathlib.Path(directory))
  print(int(state.step), attempts, len(said))
"""


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 9])
def test_none_sets_aside_what_another_process_can_read(copy, times):
  address = f"127.0.0.1:{local_cluster.free_port()}"
  started = [
    subprocess.Popen(
      [sys.executable, "-c", PROCESS, address, str(index), str(times), str(copy)],
      cwd=pathlib.Path(__file__).parents[2],
      env=local_cluster.environment(os.environ, index, 2),
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for index in range(2)
  ]
  for process in started:
    output, wrong = process.communicate(timeout=180)
    if times == 9:
      assert process.returncode == 1
      assert re.search("error: .*Checkpoint of step 3 cannot be read", wrong)
      assert "Traceback" not in wrong
    else:
      assert output.splitlines()[-1:] == [f"3 {[3] * (1 + times)} 0"], wrong
  assert (copy / "3").is_dir()
  assert not copy.with_name("c_set_aside").exists()


def test_a_checkpoint_of_another_plan_is_not_used(copy):
  restored, said = restore(copy, {"plan": {"kernels": {"a": 2}}})
  assert restored is None
  assert said == [
    "Checkpoint of step 3 is of another plan; falling back to the one of step 2.",
    "Checkpoint of step 2 is of another plan; falling back to the beginning.",
  ]


def test_reading_only_moves_nothing(copy):
  (copy / "3/record/metadata").unlink()
  (state, _), said = restore(copy, keep=None)
  assert int(state.step) == 2
  assert len(said) == 1
  assert (copy / "3").is_dir()


@pytest.mark.slow
def test_a_full_disk_is_one_clear_line_and_loses_nothing(tmp_path):
  with disks.small(tmp_path / "disk", 600) as disk:
    assert save(disk / "c", 1) == [1]
    checkpoints = Checkpoints(disk / "c", 2, PLAN)
    with contextlib.closing(checkpoints):
      checkpoints.save(make_state(2, size=1024))
      with pytest.raises(UserError, match="No space left on the disk") as caught:
        checkpoints.wait()
    assert "\n" not in str(caught.value)
    (state, _), _ = restore(disk / "c")
    jax.tree.map(np.testing.assert_array_equal, state, make_state(1))


def test_a_full_disk_is_known_by_number_words_and_cause():
  full = OSError(errno.ENOSPC, "No space left on device")
  assert is_disk_full(full)
  assert is_disk_full(ValueError("[fd=3] write: No space left on device"))
  outer = RuntimeError("write failed")
  outer.__cause__ = full
  assert is_disk_full(outer)
  assert not is_disk_full(OSError(errno.EACCES, "Permission denied"))


def test_errors_of_a_server_are_told_from_those_of_other_files_and_machines(tmp_path):
  def of(number, name=None):
    return unreachable(OSError(number, os.strerror(number), name), tmp_path)

  assert (
    of(errno.ESTALE) == of(errno.ESTALE, str(tmp_path / "a")) == "Stale file handle"
  )
  assert of(errno.EACCES, str(tmp_path / "a" / "b")) == "Permission denied"
  assert unreachable(ValueError("[fd=3]: Input/output error"), tmp_path)
  outer = RuntimeError("write failed")
  outer.__cause__ = OSError(errno.EROFS, "Read-only file system")
  assert unreachable(outer, tmp_path) == "Read-only file system"
  assert not of(errno.ECONNREFUSED)
  assert not of(errno.EACCES, "/somewhere/else")
  assert not of(errno.ENOENT, str(tmp_path / "a"))
  assert not unreachable(RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), tmp_path)
