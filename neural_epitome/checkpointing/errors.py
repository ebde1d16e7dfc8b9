"""Errors in reading or writing a checkpoint: which are the disk's or the network's."""

import errno
import os
import pathlib
from collections.abc import Iterator
from contextlib import contextmanager

from neural_epitome.checkpointing import orbax_noise
from neural_epitome.errors import UserError

# What a file system, a network or a machine answers for a while, or until someone
# gives a right: it says nothing of what is in the files.
_PASSING = (
  *(errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE),
  *(errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.ETIMEDOUT),
  *(errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.ENOTCONN),
  *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH),
)
# Of these, and beside them, what only files answer.
_OF_FILES = (errno.ESTALE, errno.EIO, errno.EROFS)
_PASSING_STATUS = (
  *("UNAVAILABLE:", "DEADLINE_EXCEEDED:", "RESOURCE_EXHAUSTED:", "ABORTED:"),
  *("CANCELLED:", "PERMISSION_DENIED:", "UNAUTHENTICATED:"),
)


def is_disk_full(error: BaseException | None) -> bool:
  """Whether `error`, or what caused it, is a full disk or quota."""
  while error is not None:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
      return True
    # Tensorstore tells errors of the file system in words only.
    text = str(error)
    if "No space left on device" in text or "Disk quota exceeded" in text:
      return True
    error = error.__cause__ or error.__context__
  return False


def is_passing(error: BaseException | None) -> bool:
  """Whether `error`, or what caused it, may be gone at another attempt to read.

  Orbax and tensorstore have many words for a damaged file. The errors listed here are
  those of a disk or a network, which pass.
  """
  while error is not None:
    if isinstance(error, MemoryError):
      return True
    if isinstance(error, OSError) and error.errno in _PASSING:
      return True
    text = str(error)
    if text.startswith(_PASSING_STATUS) or any(
      os.strerror(number) in text for number in _PASSING
    ):
      return True
    error = error.__cause__ or error.__context__
  return False


def unreachable(error: BaseException | None, directory: pathlib.Path) -> str:
  """Which error of a disk or its server `error`, or its cause, is, in words.

  Args:
    error: from a write below `directory`, or from something else.
    directory: that is written to.

  Returns:
    As "Stale file handle"; empty for all others, also those that name another file.
  """
  while error is not None:
    if isinstance(error, OSError):
      named, number = error.filename, error.errno
      # A write to an open file names none; a connection that fails does not either.
      known = number in (_OF_FILES if named is None else (*_PASSING, *_OF_FILES))
      inside = named is None or _lies_in(pathlib.Path(os.fsdecode(named)), directory)
      return str(error.strerror) if known and inside else ""
    # Tensorstore tells errors of the file system in words only.
    for number in _OF_FILES:
      if os.strerror(number) in str(error):
        return os.strerror(number)
    error = error.__cause__
  return ""


def _lies_in(path: pathlib.Path, directory: pathlib.Path) -> bool:
  return path.absolute().is_relative_to(directory.absolute())


@contextmanager
def explain_unwritable(directory: pathlib.Path) -> Iterator[None]:
  """Turns a disk that is full or cannot be reached into a UserError on what is safe."""
  try:
    yield
    return
  except UserError:
    raise
  except Exception as error:
    is_full, reason = is_disk_full(error), unreachable(error, directory)
    if not is_full and not reason:
      raise
  # Out of the handler: the error would keep Orbax's coroutines alive.
  with orbax_noise.silent_coroutines():
    pass
  if is_full:
    raise UserError(
      f"No space left on the disk of {directory}; earlier checkpoints there are "
      "whole. Free some space and run the same command again to resume."
    )
  raise UserError(
    f"{directory} cannot be written ({reason}); earlier checkpoints there are whole. "
    "Run the same command again, when it can be, to resume."
  )


def first_line(error: Exception) -> str:
  """Its type and the first line of what it says, shortened."""
  lines = str(error).strip().splitlines() or [""]
  text = f"{type(error).__name__}: {lines[0]}"
  return text if len(text) <= 120 else text[:117] + "..."
