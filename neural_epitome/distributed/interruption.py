"""SIGTERM, by which schedulers take a machine back: when to stop, and when to save."""

import contextlib
import signal
import threading
from collections.abc import Iterator

import jax
from jax.experimental import multihost_utils

from neural_epitome.distributed.collectives import agreed

# The exit code of what the same command resumes; schedulers are told to retry on it.
INTERRUPTED = 128 + signal.SIGTERM


@contextlib.contextmanager
def stop_on_sigterm() -> Iterator[threading.Event]:
  """Yields an event that SIGTERM sets, in the main thread; elsewhere never.

  Nor in one of several processes, where jax.distributed takes SIGTERM for itself.
  """
  event = threading.Event()
  is_main = threading.current_thread() is threading.main_thread()
  if not is_main or jax.process_count() > 1:
    yield event
    return
  previous = signal.signal(signal.SIGTERM, lambda *_: event.set())
  try:
    yield event
  finally:
    signal.signal(signal.SIGTERM, previous)


def decide(
  stop: threading.Event, step: int, is_save_due: bool, every: int
) -> tuple[bool, bool]:
  """Whether to stop and whether to save after a step; all processes decide alike.

  Args:
    stop: from `stop_on_sigterm`.
    step: steps that are done, the same in every process.
    is_save_due: by the clock of this process; that of process 0 counts.
    every: steps after which several processes ask for it.
  """
  if jax.process_count() == 1:
    return stop.is_set(), is_save_due
  # jax.distributed catches SIGTERM itself and agrees on a step to stop at.
  must_stop = multihost_utils.reached_preemption_sync_point(step)
  return must_stop, not step % every and agreed(is_save_due)
