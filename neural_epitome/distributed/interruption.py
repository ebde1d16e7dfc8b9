"""SIGTERM and Ctrl-C: when to stop, and when to save.

Schedulers take a machine back by SIGTERM, people by Ctrl-C; both end a run with a
checkpoint. Who cannot wait for the step presses Ctrl-C again.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

import jax
from jax.experimental import multihost_utils

from neural_epitome.distributed.collectives import agreed

# The exit code of what the same command resumes; schedulers are told to retry on it.
INTERRUPTED = 128 + signal.SIGTERM

_AGAIN = b"\nCtrl-C: stopping after this step; press it again to stop without saving.\n"


class Stop(threading.Event):
  """Set by a signal that ends the run.

  Attributes:
    by_keyboard: whether that was Ctrl-C.
  """

  def __init__(self):
    super().__init__()
    self.by_keyboard = False

  def end(self, saved: str, say: Callable[[str], None]) -> NoReturn:
    """Ends the run once it is saved.

    Args:
      saved: what was, and where.
      say: is told so, unless an error says it.

    Raises:
      KeyboardInterrupt: after Ctrl-C, in one process alone.
      SystemExit: otherwise, with `INTERRUPTED`.
    """
    by = "Ctrl-C" if self.by_keyboard else "SIGTERM"
    line = f"Stopped by {by}; saved {saved}. The same command resumes."
    if self.by_keyboard and jax.process_count() == 1:
      raise KeyboardInterrupt(line)
    say(line)
    raise SystemExit(INTERRUPTED)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Stop]:
  """Yields an event that SIGTERM and Ctrl-C set, in the main thread; elsewhere never.

  In one of several processes jax.distributed takes SIGTERM for itself, and Ctrl-C is
  passed on to it, so that all stop at one step.
  """
  stop = Stop()
  if threading.current_thread() is not threading.main_thread():
    yield stop
    return
  is_alone = jax.process_count() == 1

  def interrupted(*_: object) -> None:
    if stop.by_keyboard:
      raise KeyboardInterrupt
    stop.by_keyboard = True
    os.write(2, _AGAIN)
    if is_alone:
      stop.set()
    else:
      os.kill(os.getpid(), signal.SIGTERM)

  handlers = {signal.SIGTERM: lambda *_: stop.set()} if is_alone else {}
  # What was told to ignore Ctrl-C goes on doing so, as under nohup.
  if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    handlers[signal.SIGINT] = interrupted
  previous = {number: signal.signal(number, handlers[number]) for number in handlers}
  try:
    yield stop
  finally:
    for number, handler in previous.items():
      signal.signal(number, handler)


def decide(
  stop: threading.Event, step: int, is_save_due: bool, every: int
) -> tuple[bool, bool]:
  """Whether to stop and whether to save after a step; all processes decide alike.

  Args:
    stop: from `stop_on_signals`.
    step: steps that are done, the same in every process.
    is_save_due: by the clock of this process; that of process 0 counts.
    every: several processes agree with each other only once in so many steps.
  """
  if jax.process_count() == 1:
    return stop.is_set(), is_save_due
  # jax.distributed catches SIGTERM itself and agrees on a step to stop at.
  must_stop = multihost_utils.reached_preemption_sync_point(step)
  return must_stop, not step % every and agreed(is_save_due)
