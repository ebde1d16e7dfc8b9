"""The run directory: what a run leaves behind, and whose directory it is.

config.json     the resolved configuration; written first, never overwritten
plan.json       what is stored and how each kernel comes out of it
classes.json    class names, by label
status          incomplete | done | diverged
metrics.jsonl   one JSON line a measurement
events/         the same for TensorBoard
checkpoints/    Orbax
profile/        traces, where they were asked for
evaluation.json what the last evaluation predicted: counts by class, confused pairs
environment.json versions, commit, devices and command of the session that ended it
report/         report.json, pictures, an example and index.html

Every file but the metrics is written whole or not at all. Of several processes only
the first writes, and what it finds there is what all go by.
"""

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any, Literal

import jax

from neural_epitome import codec
from neural_epitome.config import Config
from neural_epitome.distributed import collectives
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.plan import Plan
from neural_epitome.errors import UserError

Status = Literal["incomplete", "done", "diverged"]

CONFIG, PLAN, CLASSES = "config.json", "plan.json", "classes.json"
STATUS, METRICS, EVENTS = "status", "metrics.jsonl", "events"
CHECKPOINTS, REPORT = "checkpoints", "report"
EVALUATION, ENVIRONMENT = "evaluation.json", "environment.json"

# Fields that may differ when a run is resumed: they change where it reads, writes
# and looks, never what it computes.
INCIDENTAL = frozenset(
  {
    "data.data_dir",
    "data.workers",
    "data.threads",
    "data.evaluation_batch_size",
    "training.log_every",
    "training.evaluate_every",
    "training.checkpoint_every",
    "training.keep_checkpoints",
    "training.tensorboard",
    "training.peak_flops",
  }
)


def write(path: pathlib.Path, text: str) -> None:
  """Writes a whole file or nothing, from process 0 only."""
  if jax.process_index() != 0:
    return
  path.parent.mkdir(parents=True, exist_ok=True)
  partial = path.with_name(path.name + ".partial")
  with partial.open("w") as file:
    file.write(text)
    file.flush()
    os.fsync(file.fileno())
  partial.replace(path)


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
    self.path = pathlib.Path(path)
    self.checkpoints = self.path / CHECKPOINTS
    self.report = self.path / REPORT
    self.metrics = self.path / METRICS
    self.events = self.path / EVENTS

  @property
  def status(self) -> Status | None:
    """How the run stands; None where there is none yet."""
    try:
      return (self.path / STATUS).read_text().strip()  # type: ignore[return-value]
    except FileNotFoundError:
      return None

  def set_status(self, status: Status) -> None:
    """Records how the run stands."""
    write(self.path / STATUS, status + "\n")

  def config(self) -> Config:
    """The configuration of the run.

    Raises:
      UserError: if this is no run directory or its configuration cannot be read.
    """
    path = self.path / CONFIG
    return codec.decode(Config, _read_json(path), str(path))

  def plan(self) -> Plan:
    """The plan of the run. Raises UserError if it cannot be read."""
    path = self.path / PLAN
    try:
      text = path.read_text()
    except FileNotFoundError:
      raise UserError(f"{path} does not exist: {self.path} holds no run.") from None
    # Plans of version 1 do not say config.bits.
    return plans.from_json(text, str(path), bits=self.config().bits)

  def classes(self) -> tuple[str, ...]:
    """Class names, by label. Raises UserError if they cannot be read."""
    return tuple(_read_json(self.path / CLASSES))

  def saved_report(self) -> dict[str, Any]:
    """report.json of a finished run. Raises UserError if it cannot be read."""
    return _read_json(self.report / "report.json")

  def check(self, config: Config) -> None:
    """Refuses a directory that is not this run's. Touches nothing.

    Only process 0 looks: the others might see it half made.

    Raises:
      UserError: if the directory holds another run, or files of one whose
        configuration is missing.
    """
    if jax.process_index() != 0:
      return
    if self.path.exists() and not self.path.is_dir():
      raise UserError(
        f"Work directory {self.path} is a file; choose another --workdir."
      )
    if not (self.path / CONFIG).exists():
      for name in (PLAN, STATUS, METRICS, CHECKPOINTS, REPORT):
        if (self.path / name).exists():
          raise UserError(
            f"Work directory {self.path} has {name} but no {CONFIG}: it is not a run "
            "to resume. Choose another --workdir."
          )
      return
    written = _current(_read_json(self.path / CONFIG))
    given = json.loads(json.dumps(codec.encode(config)))
    if written.get("name") != given["name"]:
      raise UserError(
        f"Work directory {self.path} belongs to experiment {written.get('name')!r}, "
        f"not {given['name']!r}; nothing was changed. Choose another --workdir."
      )
    differing = [f for f in _differences(written, given) if f[0] not in INCIDENTAL]
    if differing:
      name, old, new = differing[0]
      more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
      raise UserError(
        f"Work directory {self.path} belongs to a run with config.{name}="
        f"{json.dumps(old)}, not {json.dumps(new)}{more}; nothing was changed. Choose "
        "another --workdir."
      )

  def open(self, config: Config, plan: Plan, classes: tuple[str, ...]) -> None:
    """Makes the directory this run's: writes what is not there, compares the rest.

    All processes must call it.

    Raises:
      UserError: as `check`, or if the directory holds another plan, or is not the
        same for all processes.
    """
    if jax.process_index() == 0:
      self._claim(config, plan, classes)
    collectives.wait_for_shared(self.path / CONFIG)

  def _claim(self, config: Config, plan: Plan, classes: tuple[str, ...]) -> None:
    self.check(config)
    if (self.path / PLAN).exists() and self.plan() != plan:
      raise UserError(
        f"Work directory {self.path} belongs to a run with another plan ({PLAN}); "
        "nothing was changed. Choose another --workdir."
      )
    texts = {
      CONFIG: json.dumps(codec.encode(config), indent=2) + "\n",
      PLAN: plans.to_json(plan),
      CLASSES: json.dumps(list(classes)) + "\n",
    }
    for name, text in texts.items():
      if not (self.path / name).exists():
        write(self.path / name, text)
    if self.status is None:
      self.set_status("incomplete")


def _read_json(path: pathlib.Path) -> Any:
  try:
    return json.loads(path.read_text())
  except FileNotFoundError:
    raise UserError(f"{path} does not exist: {path.parent} holds no run.") from None
  except (json.JSONDecodeError, UnicodeDecodeError) as error:
    raise UserError(f"{path} cannot be read: {error}.") from None


def _current(found: Any) -> Any:
  """JSON of a configuration as this release writes it; as it is if it reads none."""
  try:
    config = codec.decode(Config, found)
  except UserError:
    return found
  return json.loads(json.dumps(codec.encode(config)))


def _differences(
  written: Mapping[str, Any], given: Mapping[str, Any], prefix: str = ""
) -> list[tuple[str, Any, Any]]:
  rows = []
  for name in [*given, *(n for n in written if n not in given)]:
    old, new = written.get(name), given.get(name)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
      rows += _differences(old, new, f"{prefix}{name}.")
    elif old != new:
      rows.append((prefix + name, old, new))
  return rows
