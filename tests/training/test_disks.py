"""A run whose disk is full or away ends with one line, and the next one goes on."""

import errno
import os
import subprocess

import pytest

import neural_epitome as ne
from neural_epitome.checkpointing import checkpoints
from neural_epitome.errors import UserError
from neural_epitome.runs import metrics
from tests import disks
from tests.training import tiny
from tests.training.test_loop import assert_same_run

pytestmark = [
  pytest.mark.slow,
  pytest.mark.xdist_group("loop"),
  pytest.mark.usefixtures("compilation_cache"),
]


# What does not fit is the plan, the first checkpoint, a later one.
@pytest.mark.parametrize("kilobytes", [12, 40, 500])
def test_a_disk_that_is_full_at_any_moment_ends_with_a_line_and_a_resume_is_the_same(
  whole, tmp_path, kilobytes
):
  with disks.small(tmp_path / "disk", kilobytes) as disk:
    with pytest.raises(UserError, match="No space left on the disk of") as caught:
      ne.run(tiny.experiment(), disk / "run", quiet=True)
    assert "\n" not in str(caught.value)
    subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
    ne.run(tiny.experiment(), disk / "run", quiet=True)
    assert_same_run(disk / "run", whole[0])


def stale(*_, **__):
  raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def in_words(*_, **__):
  raise ValueError("FAILED_PRECONDITION: [fd=7] write: Stale file handle")


@pytest.mark.parametrize("what", ["metrics", "checkpoint", "checkpoint in words"])
def test_a_stale_handle_of_a_server_ends_with_a_line_and_a_resume_is_the_same(
  whole, tmp_path, monkeypatch, what
):
  owner, name, failure = {
    "metrics": (metrics.Log, "write", stale),
    "checkpoint": (checkpoints.ocp.CheckpointManager, "save", stale),
    "checkpoint in words": (checkpoints.ocp.CheckpointManager, "save", in_words),
  }[what]
  plain, calls = getattr(owner, name), []

  def third_fails(*arguments, **options):
    calls.append(name)
    return failure() if len(calls) == 3 else plain(*arguments, **options)

  with monkeypatch.context() as patch:
    patch.setattr(owner, name, third_fails)
    with pytest.raises(UserError, match=r"cannot be written \(Stale file") as caught:
      ne.run(tiny.experiment(), tmp_path / "run", quiet=True)
  assert "\n" not in str(caught.value)
  ne.run(tiny.experiment(), tmp_path / "run", quiet=True)
  assert_same_run(tmp_path / "run", whole[0])
