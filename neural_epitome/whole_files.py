"""Files that are written whole or not at all."""

import contextlib
import os
import pathlib
import uuid
from collections.abc import Iterator


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
  """Gives the body a file to write, which takes the place of `path` at its end.

  The file has a name of its own: of several processes that write `path` at once, each
  writes a whole one. It is removed if the body raises, so that a full disk gets its
  space back. Else it is on disk before it is given the name: what a server says late,
  it says here.

  Args:
    path: of the file, in a directory that exists.

  Yields:
    A path beside it, `NAME.*.partial`.
  """
  path = pathlib.Path(path)
  partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.partial")
  try:
    yield partial
    with partial.open("rb+") as file:
      os.fsync(file.fileno())
    partial.replace(path)
  except BaseException:
    with contextlib.suppress(OSError):
      partial.unlink()
    raise
