"""Processes that take turns: each holds one case, and sleeps while another runs."""

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any


class Worker:
  """One case in a process of its own, or in several that work together.

  A process is `python -m MODULE ARGUMENTS`; it writes a line of JSON when it is ready
  and after every turn, which an empty line on its input begins.
  """

  def __init__(self, module: str, *arguments: Sequence[str]):
    """Starts a process for each list of arguments, and waits until all are ready."""
    self._processes = [
      subprocess.Popen(
        [sys.executable, "-m", module, *own],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
      )
      for own in arguments
    ]
    self.ready = self._read()

  def turn(self) -> dict[str, Any]:
    """What the first process says of one turn of all."""
    for process in self._processes:
      process.stdin.write("\n")
      process.stdin.flush()
    return self._read()

  def close(self) -> None:
    """Ends the processes."""
    for process in self._processes:
      process.stdin.close()
    for process in self._processes:
      process.wait()

  def _read(self) -> dict[str, Any]:
    messages = []
    for process in self._processes:
      line = process.stdout.readline()
      while line and not line.startswith("{"):
        line = process.stdout.readline()  # Gloo prints too
      if not line:
        raise RuntimeError(f"{' '.join(process.args[1:])} ended; see above.")
      messages.append(json.loads(line))
    return messages[0]


def alternate(
  workers: Mapping[str, Worker], rounds: int
) -> dict[str, list[dict[str, Any]]]:
  """Turns of each, one a round, so that drift hits all alike."""
  turns: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
  for _ in range(rounds):
    for name, worker in workers.items():
      turns[name].append(worker.turn())
  return turns


def serve(ready: Mapping[str, Any], turn: Any) -> None:
  """The process's side: says that it is ready, and what `turn()` returns, each turn."""
  print(json.dumps(ready), flush=True)
  for _ in sys.stdin:
    print(json.dumps(turn()), flush=True)


def median(turns: Sequence[Mapping[str, float]], key: str) -> float:
  """Of one figure of all turns."""
  return statistics.median(turn[key] for turn in turns)
