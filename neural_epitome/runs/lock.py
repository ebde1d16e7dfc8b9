"""The lock of a run directory: one process at a time writes there, on any machine.

The lock is a file that only one process can create. It names the machine, the process
and since when it holds the directory, and has a counter that grows while the process
runs. If a process of this machine has died, its lock is removed at once. The counter of
a process on another machine is watched for a while: that needs neither clocks that
agree nor a file system with locks.
"""

import contextlib
import json
import os
import pathlib
import secrets
import sys
import threading
import time
from collections.abc import Iterator

import jax

from neural_epitome.errors import UserError
from neural_epitome.runs import holders

LOCK = "lock"
# Seconds between two increments of the counter, and without one until a holder is dead.
BEAT_SECONDS, SILENT_SECONDS = 3.0, 30.0
_POLL_SECONDS = 0.5


class Lock:
  """The lock of a directory; held from `take` to `free`."""

  def __init__(self, directory: pathlib.Path):
    """Prepares the lock of `directory`; nothing is written yet."""
    self._directory, self._path = directory, directory / LOCK
    self._holder = holders.this_process() | {"token": secrets.token_hex(8)}
    self._beats, self._stop = 0, threading.Event()
    self._thread = threading.Thread(target=self._beat, daemon=True)
    self._is_lost = self._made_directory = False
    self._waited = 0.0

  def take(self) -> None:
    """Takes the lock; makes the directory if it does not exist.

    Raises:
      UserError: if a running process holds the lock, or the directory cannot be
        written.
    """
    try:
      self._made_directory = not self._directory.exists()
      self._directory.mkdir(parents=True, exist_ok=True)
      while not self._create():
        self._make_room()
    except OSError as error:
      raise UserError(
        f"Work directory {self._directory} cannot be written: {error.strerror}. Choose "
        "another --workdir."
      ) from None
    self._thread.start()

  def check(self) -> None:
    """Raises UserError if another process took the lock, say while this one slept."""
    if self._is_lost:
      raise UserError(
        f"Another process has taken {self._directory} over, as this one gave no sign "
        "of life; nothing more was written."
      )

  def free(self) -> None:
    """Releases the lock; never raises."""
    self._stop.set()
    self._thread.join()
    with contextlib.suppress(OSError):
      if self._is_mine(self._read()):
        self._path.unlink()
      if self._made_directory:
        self._directory.rmdir()  # nothing was written: it was refused for other reasons

  def _text(self) -> str:
    # Of the same length each time, so that a reader finds no half of it.
    return json.dumps(self._holder | {"beats": f"{self._beats:012d}"}) + "\n"

  def _create(self) -> bool:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    try:
      descriptor = os.open(self._path, flags, 0o644)
    except FileExistsError:
      return False
    with os.fdopen(descriptor, "w") as file:
      file.write(self._text())
    return True

  def _read(self) -> str | None:
    try:
      return self._path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
      return None

  def _is_mine(self, text: str | None) -> bool:
    return holders.parsed(text).get("token") == self._holder["token"]

  def _make_room(self) -> None:
    """Removes the lock of a holder that is dead, or raises UserError."""
    text = self._read()
    if text is None:
      return
    holder = holders.parsed(text)
    is_alive = (
      holders.lives(holder)
      if holders.is_here(holder)
      else self._gives_sign(text, holder)
    )
    if is_alive:
      who = holders.describe(holder)
      raise UserError(
        f"Work directory {self._directory} is in use by {who}. Wait until it ends, or "
        "choose another --workdir."
      )
    self._remove(text)

  def _remove(self, text: str) -> None:
    """Removes the lock if it is still that one: of several, one at a time."""
    guard = self._path.with_name(f"{LOCK}.removing")
    try:
      os.close(os.open(guard, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    except FileExistsError:
      # Another one is about to, or died of it.
      self._waited += _POLL_SECONDS
      time.sleep(_POLL_SECONDS)
      if self._waited > SILENT_SECONDS:
        guard.unlink(missing_ok=True)
      return
    try:
      if self._read() == text:
        self._path.unlink()
    finally:
      guard.unlink(missing_ok=True)

  def _gives_sign(self, text: str, holder: holders.Holder) -> bool:
    print(
      f"Work directory {self._directory} is held by {holders.describe(holder)}; it is "
      f"watched for {SILENT_SECONDS:.0f} s for a sign of life.",
      file=sys.stderr,
      flush=True,
    )
    end = time.monotonic() + SILENT_SECONDS
    while time.monotonic() < end:
      time.sleep(_POLL_SECONDS)
      now = self._read()
      if now is None:
        return False
      if now != text:
        return True
    return False

  def _beat(self) -> None:
    while not self._stop.wait(BEAT_SECONDS):
      # A disk may be full and a server away for a while.
      with contextlib.suppress(OSError):
        if not self._is_mine(self._read()):
          self._is_lost = True
          return
        self._beats += 1
        with self._path.open("r+", encoding="utf-8") as file:
          file.write(self._text())


@contextlib.contextmanager
def held(directory: str | os.PathLike) -> Iterator[Lock | None]:
  """Holds the lock of a run directory during a block.

  Args:
    directory: the run directory; made if it does not exist.

  Yields:
    The lock in process 0, which holds it for all processes; None in the others.

  Raises:
    UserError: as `Lock.take`.
  """
  if jax.process_index() != 0:
    yield None
    return
  lock = Lock(pathlib.Path(directory))
  lock.take()
  try:
    yield lock
  finally:
    lock.free()
