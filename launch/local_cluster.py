"""Several processes of one run on this machine, as a cluster would start them.

  python -m launch.local_cluster --processes=2 -- --experiment=quick

Everything behind `--` goes to `neural_epitome.main` in each process. A process gets
one GPU where there are as many as processes, else one CPU device; JAX_PLATFORMS wins.
Each line that one prints starts with its number. SIGINT and SIGTERM are passed on, and
what has not ended --stop_grace seconds later is killed; when one fails the others are
ended, and the exit code is that of the first that failed.
"""

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO

# Seconds that the others have to end by themselves, or after SIGTERM.
GRACE_SECONDS = 30.0
# Seconds that all have after SIGINT or SIGTERM: to compile what they are compiling, and
# to write a checkpoint to a slow disk.
STOP_SECONDS = 300.0
_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str] | None = None) -> int:
  """Starts the processes and waits for them.

  Args:
    arguments: the command line without the program's name; that of the process if
      None.

  Returns:
    0, or the exit code of the first process that failed: 128 + n if signal n ended it.
  """
  parser = argparse.ArgumentParser(
    prog="python -m launch.local_cluster",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument("--processes", type=_positive, default=2, help="how many (2)")
  parser.add_argument(
    "--grace",
    type=float,
    default=GRACE_SECONDS,
    help=f"seconds to end in, before SIGTERM and then SIGKILL ({GRACE_SECONDS:g})",
  )
  parser.add_argument(
    "--stop_grace",
    type=float,
    default=STOP_SECONDS,
    help=f"seconds from SIGINT or SIGTERM to SIGKILL ({STOP_SECONDS:g})",
  )
  parser.add_argument("flags", nargs="*", help="of neural_epitome.main, behind --")
  options = parser.parse_args(arguments)
  address = f"127.0.0.1:{free_port()}"
  commands = [
    [
      *(sys.executable, "-u", "-m", "neural_epitome.main"),
      *(f"--coordinator_address={address}", f"--num_processes={options.processes}"),
      *(f"--process_id={index}", *options.flags),
    ]
    for index in range(options.processes)
  ]
  environments = [
    environment(os.environ, index, options.processes)
    for index in range(options.processes)
  ]
  return run(commands, environments, grace=options.grace, stop_grace=options.stop_grace)


def free_port() -> int:
  """A TCP port that nobody listens on at this moment."""
  with socket.socket() as probe:
    probe.bind(("", 0))
    return probe.getsockname()[1]


def environment(base: Mapping[str, str], index: int, count: int) -> dict[str, str]:
  """The environment of process `index` of `count`: which device it sees."""
  found = dict(base)
  gpus = _gpus(base)
  if "cpu" not in base.get("JAX_PLATFORMS", "") and len(gpus) >= count:
    found["CUDA_VISIBLE_DEVICES"] = gpus[index]
    return found
  found.setdefault("JAX_PLATFORMS", "cpu")
  # More devices a process are known to hang in collectives over Gloo.
  xla = re.sub(
    r"--xla_force_host_platform_device_count=\d+", "", base.get("XLA_FLAGS", "")
  )
  found["XLA_FLAGS"] = f"{xla} --xla_force_host_platform_device_count=1".strip()
  return found


def run(
  commands: Sequence[Sequence[str]],
  environments: Sequence[Mapping[str, str]],
  *,
  grace: float = GRACE_SECONDS,
  stop_grace: float = STOP_SECONDS,
) -> int:
  """Runs commands at once until all have ended. See `main` for what it returns.

  No process outlives it: not if a command fails, nor, on Linux, if this process is
  killed.
  """
  asked: list[int] = []
  previous = {
    number: signal.signal(number, lambda number, _: asked.append(number))
    for number in (signal.SIGINT, signal.SIGTERM)
  }
  processes = [
    subprocess.Popen(
      [*_tied(), *command],
      env=dict(variables),
      stdin=subprocess.DEVNULL,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      start_new_session=True,  # a terminal's Ctrl-C comes from here, once
    )
    for command, variables in zip(commands, environments, strict=True)
  ]
  printing = threading.Lock()
  readers = [
    threading.Thread(target=_relay, args=(index, process.stdout, printing))
    for index, process in enumerate(processes)
  ]
  try:
    for reader in readers:
      reader.start()
    code = _wait(processes, asked, grace, stop_grace)
  finally:
    for process in processes:
      _signal(process, signal.SIGKILL)  # and what it started
      process.wait()
    for number, handler in previous.items():
      signal.signal(number, handler)
  for reader in readers:
    reader.join()
  return code


def _wait(
  processes: Sequence[subprocess.Popen],
  asked: list[int],
  grace: float,
  stop_grace: float,
) -> int:
  """Waits, passing on what was asked; returns the exit code."""
  code, steps, deadline = 0, [signal.SIGTERM, signal.SIGKILL], None
  stop_deadline, first = None, None
  while running := [process for process in processes if process.poll() is None]:
    while asked:
      number = asked.pop(0)
      for process in running:
        _signal(process, number)
      if stop_deadline is None:
        # Asking again gives no more time.
        stop_deadline, first = time.monotonic() + stop_grace, signal.Signals(number)
    if stop_deadline is not None and first and time.monotonic() > stop_deadline:
      _kill(processes, f"{stop_grace:g} s after {first.name} (--stop_grace)")
      first = None
    if not code and (code := _first_failure(processes)):
      deadline = time.monotonic() + grace
    if deadline is not None and time.monotonic() > deadline and steps:
      number, deadline = steps.pop(0), time.monotonic() + grace
      if number == signal.SIGKILL:
        _kill(processes, f"{2 * grace:g} s after another failed (--grace)")
      else:
        for process in running:
          _signal(process, number)
    time.sleep(0.05)
  code = code or _first_failure(processes)
  return code if code >= 0 else 128 - code


def _kill(processes: Sequence[subprocess.Popen], when: str) -> None:
  """Kills those that still run, with a word."""
  left = [i for i, process in enumerate(processes) if process.poll() is None]
  if not left:
    return
  names = ", ".join(map(str, left))
  print(f"Killed process {names}: not ended {when}.", file=sys.stderr, flush=True)
  for index in left:
    _signal(processes[index], signal.SIGKILL)


def _first_failure(processes: Sequence[subprocess.Popen]) -> int:
  """The exit code of the one that failed first, or 0.

  Of several that were seen to end at once, one that a signal ended: the others may
  have left because it did.
  """
  return min(
    (p.returncode for p in processes if p.returncode),
    key=lambda code: code > 0,
    default=0,
  )


def _relay(index: int, source: IO[bytes], printing: threading.Lock) -> None:
  with source:
    for line in source:
      with printing:
        sys.stdout.buffer.write(f"[{index}] ".encode() + line.rstrip(b"\n") + b"\n")
        sys.stdout.buffer.flush()


def _signal(process: subprocess.Popen, number: int) -> None:
  try:
    if number == signal.SIGKILL:
      os.killpg(process.pid, number)
    else:
      process.send_signal(number)
  except ProcessLookupError:
    pass


def _tied() -> list[str]:
  """What starts a command as a process that is killed when this one ends."""
  if sys.platform != "linux":
    return []
  # In a process of its own: code between fork and exec is not safe beside threads.
  script = (
    "import ctypes, os, sys; "
    f"ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG}, {int(signal.SIGKILL)}); "
    f"os.getppid() == {os.getpid()} and os.execvp(sys.argv[1], sys.argv[1:])"
  )
  return [sys.executable, "-I", "-S", "-c", script]


def _gpus(base: Mapping[str, str]) -> list[str]:
  """Names of the GPUs that may be used."""
  if (named := base.get("CUDA_VISIBLE_DEVICES")) is not None:
    return [name for name in named.split(",") if name]
  try:
    listed = subprocess.run(
      ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
      capture_output=True,
      text=True,
      check=True,
    )
  except (OSError, subprocess.CalledProcessError):
    return []
  return listed.stdout.split()


def _positive(text: str) -> int:
  if not text.isdecimal() or int(text) < 1:
    raise argparse.ArgumentTypeError(f"{text!r} is not 1 or more")
  return int(text)


if __name__ == "__main__":
  sys.exit(main())
