"""A file is whole or as it was, and leaves nothing beside it."""

import errno
import os

import pytest

from neural_epitome import whole_files


@pytest.fixture
def path(tmp_path):
  (tmp_path / "file").write_text("before")
  return tmp_path / "file"


def test_what_was_written_takes_the_place_at_the_end(path):
  with whole_files.replacing(path) as partial:
    partial.write_text("after")
    assert path.read_text() == "before"
  assert path.read_text() == "after"
  assert os.listdir(path.parent) == ["file"]


def test_two_that_write_at_once_write_a_whole_one_each(path):
  with whole_files.replacing(path) as first, whole_files.replacing(path) as second:
    first.write_text("long" * 1000)
    second.write_text("short")
  assert path.read_text() == "long" * 1000
  assert os.listdir(path.parent) == ["file"]


@pytest.mark.parametrize("late", [False, True])
def test_one_that_fails_leaves_the_one_before_and_no_other(path, late, monkeypatch):
  def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  if late:  # as a server that keeps what it has to say for the end
    monkeypatch.setattr(os, "fsync", full)

  def write():
    with whole_files.replacing(path) as partial:
      partial.write_text("after")
      if not late:
        full()

  with pytest.raises(OSError, match="No space"):
    write()
  assert path.read_text() == "before"
  assert os.listdir(path.parent) == ["file"]
