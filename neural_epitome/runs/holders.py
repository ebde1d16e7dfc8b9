"""The process that holds the lock of a run directory: which it is, whether it runs."""

import contextlib
import datetime
import json
import os
import pathlib
import socket
from typing import Any

# A process as a lock describes it: host, pid, since, started, machine.
Holder = dict[str, Any]


def this_process() -> Holder:
  """Describes this process as the holder of a lock, from now on."""
  now = datetime.datetime.now().astimezone()
  return {
    "host": socket.gethostname(),
    "pid": os.getpid(),
    "since": now.isoformat(" ", "seconds"),
    "started": _started(os.getpid()),
    "machine": _machine(),
  }


def _machine() -> str:
  """What distinguishes machines of one name, and containers of one machine."""
  parts = []
  with contextlib.suppress(OSError):
    parts.append(pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip())
  with contextlib.suppress(OSError):
    parts.append(os.readlink("/proc/self/ns/pid"))
  return " ".join(parts)


def _started(pid: int) -> str:
  """When a process of this machine started, so that its number is not mistaken.

  Empty if it is dead, or where that cannot be known.
  """
  try:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
  except OSError:
    return ""
  return "" if fields[0] == "Z" else fields[19]


def parsed(text: str | None) -> Holder:
  """Reads the holder from the text of a lock; {} if the text is not JSON of one."""
  try:
    content = json.loads(text or "")
  except ValueError:
    return {}
  return content if isinstance(content, dict) else {}


def is_here(holder: Holder) -> bool:
  """Whether the holder is on this machine, so that `lives` can tell if it has ended."""
  mine = this_process()
  return all(holder.get(key) == mine[key] for key in ("host", "machine"))


def lives(holder: Holder) -> bool:
  """Whether a holder on this machine (see `is_here`) still runs."""
  pid = holder.get("pid")
  if not isinstance(pid, int):
    return False
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return False
  except PermissionError:
    pass  # somebody else's
  return not holder.get("started") or _started(pid) == holder["started"]


def describe(holder: Holder) -> str:
  """The holder in words, for messages: process number, host, since when."""
  if "pid" not in holder:
    return "a process that it does not name"
  return f"process {holder['pid']} on {holder.get('host')} since {holder.get('since')}"
