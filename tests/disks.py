"""Disks that are full, for tests of what is said then."""

import contextlib
import subprocess
import sys

import pytest


@contextlib.contextmanager
def small(path, kilobytes):
  """A directory that is a disk of its own of so many kilobytes; skips where none can.

  What fills it is left to the body.
  """
  path.mkdir()
  size = f"size={kilobytes}k"
  mount = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(path)]
  if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
    pytest.skip("needs the right to mount a small disk")
  try:
    yield path
  finally:
    subprocess.run(["umount", "-l", str(path)], check=True)
