"""The run directory: what a run leaves behind.

config.json     the resolved configuration; written first, never overwritten
plan.json       what is stored and how each kernel comes out of it
classes.json    class names, by label
data.json       how many examples of each split, and a digest of names and sizes
status          incomplete | done | diverged
metrics.jsonl   one JSON line a measurement
events/         the same for TensorBoard
checkpoints/    Orbax
profile/        traces, where they were asked for
evaluation.json what the last evaluation predicted: counts by class, confused pairs
environment.json versions, commit, devices and command of the session that ended it
lock            who writes there now (see `lock`)
report/         report.json, pictures, an example and index.html

Every file but the metrics is written whole or not at all. Of several processes only
the first writes. `claims` says which run a directory belongs to.
"""

import json
import os
import pathlib
import re
from typing import Any, Literal

import jax

from neural_epitome import codec, whole_files
from neural_epitome.config import Config
from neural_epitome.epitome import plan_json
from neural_epitome.epitome.plan import Plan
from neural_epitome.errors import UserError

Status = Literal["incomplete", "done", "diverged"]

CONFIG, PLAN, CLASSES = "config.json", "plan.json", "classes.json"
STATUS, METRICS, EVENTS = "status", "metrics.jsonl", "events"
CHECKPOINTS, REPORT = "checkpoints", "report"
EVALUATION, ENVIRONMENT = "evaluation.json", "environment.json"
DATA = "data.json"


def write(path: pathlib.Path, text: str) -> None:
  """Writes a whole file or nothing, from process 0 only."""
  if jax.process_index() != 0:
    return
  path.parent.mkdir(parents=True, exist_ok=True)
  with whole_files.replacing(path) as partial:
    partial.write_text(text)


class RunDirectory:
  """A directory that belongs to one run.

  Attributes:
    path: the directory.
    checkpoints: where checkpoints lie.
    report: where the report lies.
    metrics: file of JSON lines.
    events: directory of TensorBoard events.
  """

  def __init__(self, path: str | os.PathLike):
    """Names a directory; nothing is read or written yet.

    Raises:
      UserError: if `path` is an address such as gs://bucket: files are needed.
    """
    self.path = pathlib.Path(path)
    # A path has lost the second slash of gs://bucket.
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", os.fspath(path)):
      raise UserError(
        f"Work directory {os.fspath(path)} is an address; mount it as a folder (a "
        "bucket with gcsfuse)."
      )
    self.checkpoints = self.path / CHECKPOINTS
    self.report = self.path / REPORT
    self.metrics = self.path / METRICS
    self.events = self.path / EVENTS

  @property
  def status(self) -> Status | None:
    """The status of the run; None if there is no run yet.

    Raises:
      UserError: if the file cannot be read.
    """
    try:
      return (self.path / STATUS).read_text().strip()  # type: ignore[return-value]
    except (FileNotFoundError, NotADirectoryError):
      return None
    except OSError as error:
      raise UserError(f"{self.path} cannot be read: {error.strerror}.") from None

  def set_status(self, status: Status) -> None:
    """Writes the status of the run."""
    write(self.path / STATUS, status + "\n")

  def config(self) -> Config:
    """The configuration of the run.

    Raises:
      UserError: if this is no run directory or its configuration cannot be read.
    """
    path = self.path / CONFIG
    return codec.decode(Config, read_json(path), str(path))

  def plan(self) -> Plan:
    """The plan of the run. Raises UserError if it cannot be read."""
    path = self.path / PLAN
    try:
      text = path.read_text()
    except FileNotFoundError:
      raise UserError(f"{path} does not exist: {self.path} holds no run.") from None
    # Plans of version 1 do not say config.bits.
    return plan_json.from_json(text, str(path), bits=self.config().bits)

  def classes(self) -> tuple[str, ...]:
    """Class names, by label. Raises UserError if they cannot be read."""
    return tuple(read_json(self.path / CLASSES))

  def saved_report(self) -> dict[str, Any]:
    """report.json of a finished run. Raises UserError if it cannot be read."""
    return read_json(self.report / "report.json")


def read_json(path: pathlib.Path) -> Any:
  """Reads a file of JSON in a run directory.

  Raises:
    UserError: if it does not exist or is not JSON.
  """
  try:
    return json.loads(path.read_text())
  except FileNotFoundError:
    raise UserError(f"{path} does not exist: {path.parent} holds no run.") from None
  except (json.JSONDecodeError, UnicodeDecodeError) as error:
    raise UserError(f"{path} cannot be read: {error}.") from None
