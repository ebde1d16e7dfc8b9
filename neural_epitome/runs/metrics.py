"""Measurements: fetched late, written as JSON lines and TensorBoard events."""

import collections
import json
import math
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from neural_epitome import whole_files

Values = dict[str, float]


class Pending:
  """Metrics of the last few steps, still on their way from the device.

  Reading a step's loss at once would make the host wait for the device every step;
  a step or two later it is there. The delay also bounds how far the host runs ahead.
  """

  def __init__(self, lag: int = 2):
    self._lag = lag
    self._queue: collections.deque[tuple[int, Any]] = collections.deque()

  def add(self, step: int, metrics: Mapping[str, jax.Array]) -> None:
    """Queues the metrics of a step: scalars on the devices, by name."""
    self._queue.append((step, metrics))

  def ready(self) -> Iterator[tuple[int, Values]]:
    """Takes the steps at least `lag` behind the newest, oldest first, as floats."""
    return self._take(self._lag)

  def drain(self) -> Iterator[tuple[int, Values]]:
    """Takes all steps, oldest first; waits for the devices."""
    return self._take(0)

  def _take(self, leave: int) -> Iterator[tuple[int, Values]]:
    while len(self._queue) > leave:
      step, metrics = self._queue.popleft()
      host = jax.device_get(dict(metrics))
      yield step, {name: value.item() for name, value in host.items()}


class Log:
  """Appends measurements to metrics.jsonl and, if asked for, TensorBoard events.

  Only process 0 writes. A value that is not finite is written as null: JSON has
  no word for it.

  Attributes:
    lines: all measurements so far, each as its JSON line is read.
  """

  def __init__(
    self, path: pathlib.Path, events: pathlib.Path | None, resume_step: int = 0
  ):
    """Opens the log as it stood after `resume_step`: later lines are cut off.

    Args:
      path: the file of JSON lines.
      events: directory of TensorBoard events; None writes none.
      resume_step: step that training resumes from.
    """
    self._path = self._writer = None
    self.lines = [r for r in read(path) if r.get("step", 0) <= resume_step]
    if jax.process_index() != 0:
      return
    with whole_files.replacing(path) as partial:
      partial.write_text("".join(json.dumps(line) + "\n" for line in self.lines))
    self._path = path
    if events is not None:
      # Imported here: it pulls in protobuf, for those who want it only.
      from tensorboardX import SummaryWriter

      purge = resume_step + 1 if resume_step else None
      self._writer = SummaryWriter(str(events), purge_step=purge)

  def write(self, step: int, kind: str, values: Mapping[str, float]) -> None:
    """Adds a line {"step", "kind", ...values}; kind is `train` or `evaluation`."""
    finite = {
      name: value if not isinstance(value, float) or math.isfinite(value) else None
      for name, value in values.items()
    }
    line = {"step": step, "kind": kind} | finite
    self.lines.append(line)
    if self._path is not None:
      # By its name each time: a handle is stale once the server of a shared file
      # system was started again, and a full disk is told when a file is closed.
      with self._path.open("a") as file:
        file.write(json.dumps(line) + "\n")
    if self._writer is not None:
      for name, value in values.items():
        self._writer.add_scalar(f"{kind}/{name}", value, step)

  def has(self, step: int, kind: str) -> bool:
    """Whether there is a line of this kind at `step`."""
    return any(r["step"] == step and r["kind"] == kind for r in self.lines)

  def close(self) -> None:
    """Closes what is open."""
    if self._writer is not None:
      self._writer.close()


def read(path: pathlib.Path) -> list[dict[str, Any]]:
  """The lines of a metrics file; one cut short by a crash is left out."""
  try:
    text = path.read_text()
  except FileNotFoundError:
    return []
  lines = []
  for row in text.splitlines():
    try:
      lines.append(json.loads(row))
    except json.JSONDecodeError:
      continue
  return lines
