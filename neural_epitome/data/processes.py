"""A pool of worker processes that end with their parent, even if it is killed."""

import concurrent.futures
import contextlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import connection
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextlib.contextmanager
def parallel(
  processes: int,
) -> Iterator[Callable[[Callable[[Item], Result], Iterable[Item]], Iterator[Result]]]:
  """Yields a function like `map` that runs in worker processes.

  Args:
    processes: number of workers; below 2 it is the builtin `map` in this process.
  """
  if processes < 2:
    yield map
    return
  pool = concurrent.futures.ProcessPoolExecutor(
    processes,
    # Forking a process with threads (TFDS has some) may hang.
    mp_context=multiprocessing.get_context("spawn"),
    initializer=_end_with_parent,
  )
  try:
    yield pool.map
  finally:
    pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
  parent = multiprocessing.parent_process()
  assert parent is not None

  def watch() -> None:
    connection.wait([parent.sentinel])
    os._exit(1)

  threading.Thread(target=watch, daemon=True).start()
