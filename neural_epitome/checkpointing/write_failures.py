"""The errors of checkpoint writes, reported without a wait for other processes."""

import sys

import orbax.checkpoint as ocp


class WriteFailures:
  """The errors with which threads that write a checkpoint failed.

  Orbax takes an error of its thread through a barrier (in a `finally`) to which the
  other processes, whose writes did not fail, do not come for twenty minutes. `barrier`
  is that barrier, as `ocp.AsyncOptions(barrier_sync_fn=...)` wants it, and keeps the
  error that is on its way as it begins to wait.
  """

  def __init__(self):
    self._wait = ocp.multihost.get_barrier_sync_fn()
    self._error: BaseException | None = None

  def barrier(self, *, key: str, timeout_ms: int) -> None:
    """Waits for all processes, at most `timeout_ms` milliseconds."""
    self._error = self._error or sys.exc_info()[1]
    self._wait(key=key, timeout_ms=timeout_ms)

  def check(self) -> None:
    """Raises the first error that came to the barrier, if one did."""
    if self._error is not None:
      raise self._error
