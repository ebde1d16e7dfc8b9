"""Runs side by side: a process a run, each bound to a core of its own.

Small networks gain nothing from a second core, and compiled programs are never
returned to the system, so that a process may not train one network after another.
"""

import concurrent.futures
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from tqdm import tqdm

from neural_epitome.errors import UserError

# The cores that no run is bound to; None where there are not several.
_cores: Any = None


def run_all(
  function: Callable[..., Any],
  tasks: Sequence[tuple[str, tuple[Any, ...]]],
  done: Callable[[str, Any], str],
  *,
  deadline: float,
  workers: int | None = None,
) -> int:
  """Calls a function in processes of their own, in order, until a deadline.

  Args:
    function: of a module, with arguments that can be pickled.
    tasks: label and arguments of every call.
    done: takes a label and what the call returned, here; returns a line to print.
    deadline: on the clock `time.monotonic`; no call begins after it.
    workers: calls at a time; None for one a core.

  Returns:
    How many calls never began, which it says. A call that raises UserError is told,
    and not `done`.
  """
  context = multiprocessing.get_context("spawn")
  cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
  workers = workers or max(1, len(cores))
  queue = context.Queue()
  for core in cores[:workers]:
    queue.put(core)
  is_bound = 1 < workers <= len(cores)
  with (
    tqdm(total=len(tasks), unit="run", disable=None) as progress,
    concurrent.futures.ProcessPoolExecutor(
      workers,
      context,
      _share_cores if is_bound else None,
      (queue,) if is_bound else (),
      max_tasks_per_child=1,
    ) as pool,
  ):
    left, running = list(reversed(tasks)), {}
    while left or running:
      while left and len(running) < workers and time.monotonic() < deadline:
        label, arguments = left.pop()
        running[pool.submit(_bound, function, arguments)] = label
      if not running:
        break
      finished, _ = concurrent.futures.wait(
        running, return_when=concurrent.futures.FIRST_COMPLETED
      )
      for future in finished:
        label = running.pop(future)
        progress.update()
        try:
          progress.write(f"{label}  {done(label, future.result())}")
        except UserError as error:
          progress.write(f"not run: {label}: {error}")
  if left:
    print(f"out of time, {len(left)} runs to go: the same command goes on")
  return len(left)


def _share_cores(cores: Any) -> None:
  global _cores
  _cores = cores


def _bound(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
  if _cores is None:
    return function(*arguments)
  core = _cores.get()
  os.sched_setaffinity(0, {core})
  try:
    return function(*arguments)
  finally:
    _cores.put(core)
