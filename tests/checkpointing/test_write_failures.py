"""A write that fails in one process is told there at once."""

import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from launch import local_cluster
from neural_epitome.checkpointing.checkpoints import Checkpoints
from neural_epitome.checkpointing.write_failures import WriteFailures
from tests import disks
from tests.checkpointing.test_checkpoints import PLAN, make_state

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]

# One of two processes that write checkpoints until the disk is full. Process 0 writes
# what both hold alike, so that it fails alone.
PROCESS = """
import pathlib, sys
from neural_epitome.distributed import processes
from neural_epitome.checkpointing.checkpoints import Checkpoints
from tests.checkpointing.test_checkpoints import PLAN, make_state

address, process, directory = sys.argv[1:]
with processes.joined(address, 2, int(process), timeout=60):
  checkpoints = Checkpoints(pathlib.Path(directory), 9, PLAN)
  for step in range(1, 9):
    checkpoints.save(make_state(step, 300))
  checkpoints.wait()
"""


def test_an_error_on_its_way_through_the_barrier_is_kept():
  failures = WriteFailures()
  failures.barrier(key="fine", timeout_ms=1)
  failures.check()
  error = OSError("No space left on device")

  def write():
    try:
      raise error
    finally:
      failures.barrier(key="failed", timeout_ms=1)

  with pytest.raises(OSError, match="No space"):
    write()
  with pytest.raises(OSError, match="No space") as caught:
    failures.check()
  assert caught.value is error


def test_a_full_disk_ends_two_processes_with_one_line_and_whole_checkpoints(tmp_path):
  with disks.small(tmp_path / "disk", 1500) as disk:
    address = f"127.0.0.1:{local_cluster.free_port()}"
    processes = [
      subprocess.Popen(
        [sys.executable, "-c", PROCESS, address, str(index), str(disk / "c")],
        cwd=ROOT,
        env=local_cluster.environment(os.environ, index, 2) | {"JAX_PLATFORMS": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
      )
      for index in range(2)
    ]
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [1, 1], errors
    assert all("No space left on the disk of" in text for text in errors), errors
    assert all(text.count("error: ") == 1 for text in errors), errors
    [*_, newest] = Checkpoints(disk / "c", None, PLAN).steps()
    state, _ = Checkpoints(disk / "c", None, PLAN).restore(make_state(0, 300), print)
    jax.tree.map(np.testing.assert_array_equal, state, make_state(newest, 300))
