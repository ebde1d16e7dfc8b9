"""Runs the tests of the daily habit, and fails if they take too long.

They have three minutes of two fast, idle cores, counted in processor time. A machine
that is slower, or busy with other work, needs more of it for the same work (2.8 times
as much was seen), so a fixed piece of work is timed before and after, and the limit
grows by what it takes more.
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence

MINUTES = 3.0
# Imports and compiles, as most of the tests do.
WORK = """
import jax, jax.numpy as jnp
for n in range(40):
  jax.jit(lambda x: jnp.tanh(x @ x) + n)(jnp.ones((9, 9))).block_until_ready()
"""
# Of a processor, for that work.
FAST_SECONDS = 1.5


def seconds(commands: Sequence[Sequence[str]]) -> tuple[float, int]:
  """Processor time of commands that run at once, and the worst of their exit codes."""
  before = resource.getrusage(resource.RUSAGE_CHILDREN)
  processes = [subprocess.Popen(command) for command in commands]
  codes = [abs(process.wait()) for process in processes]
  after = resource.getrusage(resource.RUSAGE_CHILDREN)
  used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
  return used, max(codes)


def fixed_work() -> float:
  """Processor time of the fixed piece of work, on both cores at once."""
  used, _ = seconds([[sys.executable, "-c", WORK]] * 2)
  return used / 2


def main() -> int:
  """The exit code; with --is-slow 0 on a machine of half of a fast one's speed."""
  if "--is-slow" in sys.argv:
    return 0 if fixed_work() > 2 * FAST_SECONDS else 1
  before = fixed_work()
  start = time.monotonic()
  used, code = seconds([[sys.executable, "-m", "pytest", "-m", "not slow"]])
  work = (before + fixed_work()) / 2
  minutes, allowed = used / 2 / 60, MINUTES * max(1.0, work / FAST_SECONDS)
  print(
    f"fast tier: {minutes:.1f} minutes of two cores, of {allowed:.1f} "
    f"({work:.2f} s for the fixed piece of work), "
    f"{time.monotonic() - start:.0f} s in all",
    flush=True,
  )
  if code == 0 and minutes > allowed:
    print(f"error: the fast tier is to take {MINUTES:g} minutes: mark what is slow.")
    return 1
  return code


if __name__ == "__main__":
  os.environ.setdefault("JAX_PLATFORMS", "cpu")
  sys.exit(main())
