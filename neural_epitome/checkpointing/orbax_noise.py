"""Silences the log lines and warnings that Orbax adds to the errors that it raises."""

import functools
import gc
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@functools.cache
def quieten() -> None:
  """Silences log lines about saves, and about threads that outlive a failed save."""
  # It narrates every save and prints every traceback of a failed one; what matters
  # is raised as well.
  logging.getLogger("absl").addFilter(
    lambda record: f"{os.sep}orbax{os.sep}" not in record.pathname
  )
  # After a failed write, tensorstore's threads report the others to an event loop
  # that Orbax has closed, at any later moment; Python would print each. Our own
  # error has said what there is to say.
  hook = sys.unraisablehook

  def filtered(unraisable: Any) -> None:
    error = unraisable.exc_value
    if not (isinstance(error, RuntimeError) and "loop is closed" in str(error)):
      hook(unraisable)

  sys.unraisablehook = filtered


@contextmanager
def silent_coroutines() -> Iterator[None]:
  """Silences warnings of coroutines that are never awaited, inside the block.

  Garbage is collected at its end, so that those of the block warn before that.
  """
  # A read or write that fails leaves the coroutines of Orbax's others unfinished,
  # and Python prints or logs a page about each as it collects them.
  hook, logger = sys.unraisablehook, logging.getLogger("asyncio")
  sys.unraisablehook, was_disabled = lambda _: None, logger.disabled
  logger.disabled = True
  try:
    yield
    gc.collect()
  finally:
    sys.unraisablehook, logger.disabled = hook, was_disabled
