"""What Orbax says beside the errors that it raises, kept from the terminal."""

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
  """Nothing of saves, or of threads that outlive a failed one."""
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
  """Inside, and of what is collected at the end, nothing is told."""
  # A read or write that fails leaves the coroutines of Orbax's others unfinished,
  # and Python prints a page about each as it collects them.
  hook = sys.unraisablehook
  sys.unraisablehook = lambda _: None
  try:
    yield
    gc.collect()
  finally:
    sys.unraisablehook = hook
