"""Gives Orbax a clock that nobody sets.

Orbax takes the seconds that it waits for a write from the time of day. A date that is
set forward by more than its limit while a checkpoint is written, as after a sleep or
once a machine without a battery has found the network, ends that write and the run.
"""

import functools
import sys
import time
import types


@functools.cache
def steady() -> None:
  """Lets the modules of Orbax that are imported count seconds, not the time of day.

  All of them, as one subtracts what another has read. The few file names and records
  that hold a date take it from elsewhere.
  """
  clock = types.SimpleNamespace(**vars(time) | {"time": time.monotonic})
  for name, module in sys.modules.copy().items():
    if name.startswith("orbax.checkpoint.") and vars(module).get("time") is time:
      module.time = clock  # pyright: ignore[reportAttributeAccessIssue]
