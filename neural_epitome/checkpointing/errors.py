"""What an error in reading or writing a checkpoint says of disk, network and files."""

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

  Whatever is wrong with a file, Orbax and tensorstore have many words for; these are
  the others.
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


@contextmanager
def explain_full_disk(directory: pathlib.Path) -> Iterator[None]:
  """Turns a full disk into a UserError that says what is safe."""
  try:
    yield
    return
  except UserError:
    raise
  except Exception as error:
    if not is_disk_full(error):
      raise
  # Out of the handler: the error would keep Orbax's coroutines alive.
  with orbax_noise.silent_coroutines():
    pass
  raise UserError(
    f"No space left on the disk of {directory}; earlier checkpoints there are "
    "whole. Free some space and run the same command again to resume."
  )


def first_line(error: Exception) -> str:
  """Its type and the first line of what it says, shortened."""
  lines = str(error).strip().splitlines() or [""]
  text = f"{type(error).__name__}: {lines[0]}"
  return text if len(text) <= 120 else text[:117] + "..."
