"""Checkpoints come back whole or not at all."""

import contextlib
import errno
import shutil
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from neural_epitome.errors import UserError
from neural_epitome.training import devices
from neural_epitome.training.checkpoints import Checkpoints, is_disk_full
from neural_epitome.training.state import State

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


def test_a_checkpoint_of_another_plan_is_not_used(copy):
  found, said = restore(copy, {"plan": {"kernels": {"a": 2}}})
  assert found is None
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


def test_a_full_disk_is_one_clear_line_and_loses_nothing(tmp_path):
  disk = tmp_path / "disk"
  disk.mkdir()
  mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)]
  try:
    subprocess.run(mount, check=True, capture_output=True)
  except (OSError, subprocess.CalledProcessError):
    pytest.skip("no right to mount a small file system")
  try:
    assert save(disk / "c", 1) == [1]
    checkpoints = Checkpoints(disk / "c", 2, PLAN)
    with contextlib.closing(checkpoints):
      checkpoints.save(make_state(2, size=1024))
      with pytest.raises(UserError, match="No space left on the disk") as caught:
        checkpoints.wait()
    assert "\n" not in str(caught.value)
    (state, _), _ = restore(disk / "c")
    jax.tree.map(np.testing.assert_array_equal, state, make_state(1))
  finally:
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_known_by_number_words_and_cause():
  full = OSError(errno.ENOSPC, "No space left on device")
  assert is_disk_full(full)
  assert is_disk_full(ValueError("[fd=3] write: No space left on device"))
  outer = RuntimeError("write failed")
  outer.__cause__ = full
  assert is_disk_full(outer)
  assert not is_disk_full(OSError(errno.EACCES, "Permission denied"))
