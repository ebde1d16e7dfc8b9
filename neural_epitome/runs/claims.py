"""Whose directory it is: a run goes on in its own, and in no other run's.

What process 0 finds in the directory is what all processes go by.
"""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax

from neural_epitome import codec
from neural_epitome.config import Config
from neural_epitome.data import classes as class_lists
from neural_epitome.distributed import collectives
from neural_epitome.epitome import plan_json
from neural_epitome.epitome.plan import Plan
from neural_epitome.errors import UserError
from neural_epitome.runs.directory import (
  CHECKPOINTS,
  CLASSES,
  CONFIG,
  DATA,
  EVENTS,
  METRICS,
  PLAN,
  REPORT,
  STATUS,
  RunDirectory,
  read_json,
  write,
)

# Fields that may differ when a run is resumed: they change where it reads, writes
# and looks, never what it computes.
INCIDENTAL = frozenset(
  {
    "data.data_dir",
    "data.accept_changes",
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


def check(directory: RunDirectory, config: Config) -> None:
  """Refuses a directory that belongs to another run; writes nothing.

  Only process 0 looks: the others might see it half made.

  Args:
    directory: that the run would go on in; it need not exist.
    config: of the run. The fields of `INCIDENTAL` may differ.

  Raises:
    UserError: if the directory holds another run, or files of one whose
      configuration is missing.
  """
  if jax.process_index() != 0:
    return
  path = directory.path
  if path.exists() and not path.is_dir():
    raise UserError(f"Work directory {path} is a file; choose another --workdir.")
  for name in (CHECKPOINTS, EVENTS, REPORT):
    inside = path / name
    if inside.exists() and not (inside.is_dir() and os.access(inside, os.W_OK)):
      raise UserError(
        f"Work directory {path}: {name} is no folder that can be written. Mend "
        "that, or choose another --workdir."
      )
  if not (path / CONFIG).exists():
    for name in (PLAN, STATUS, METRICS, CHECKPOINTS, REPORT):
      if (path / name).exists():
        raise UserError(
          f"Work directory {path} has {name} but no {CONFIG}: it is not a run "
          "to resume. Choose another --workdir."
        )
    return
  written = _current(read_json(path / CONFIG))
  requested = json.loads(json.dumps(codec.encode(config)))
  if written.get("name") != requested["name"]:
    raise UserError(
      f"Work directory {path} belongs to experiment {written.get('name')!r}, "
      f"not {requested['name']!r}; nothing was changed. Choose another --workdir."
    )
  differing = [f for f in _differences(written, requested) if f[0] not in INCIDENTAL]
  if differing:
    name, old, new = differing[0]
    more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
    raise UserError(
      f"Work directory {path} belongs to a run with config.{name}="
      f"{json.dumps(old)}, not {json.dumps(new)}{more}; nothing was changed. Choose "
      "another --workdir."
    )


def claim(
  directory: RunDirectory,
  config: Config,
  plan: Plan,
  classes: tuple[str, ...],
  identity: Callable[[], Mapping[str, Any]] | None = None,
) -> str:
  """Makes the directory this run's: writes what is not there, compares the rest.

  All processes must call it.

  Args:
    directory: that the run goes on in; made if it does not exist.
    config: of the run.
    plan: of the run.
    classes: names of the classes in the data, by label.
    identity: returns the number of examples and a digest of each split, see
      `training.feed.Feed.identity`; called in process 0 only. None compares no data.

  Returns:
    A sentence on data that have changed since the run began; empty if they have not.

  Raises:
    UserError: as `check`, or if the directory holds another plan, or was made for
      other classes or, unless config.data.accept_changes, other data, or is not the
      same for all processes.
  """
  change = ""
  if jax.process_index() == 0:
    _claim_run(directory, config, plan, classes)
    if identity is not None:
      change = _claim_data(directory, identity(), config.data.accept_changes)
  collectives.wait_for_shared(directory.path / CONFIG)
  return change


def _claim_run(
  directory: RunDirectory, config: Config, plan: Plan, classes: tuple[str, ...]
) -> None:
  check(directory, config)
  path = directory.path
  # A class more or less makes another plan, which says less.
  if (path / CLASSES).exists() and (
    words := class_lists.difference(directory.classes(), classes)
  ):
    raise UserError(
      f"Work directory {path} belongs to a run with other classes: {words} "
      "(there: the run, here: the data); nothing was changed. Restore the data, or "
      "choose another --workdir."
    )
  if (path / PLAN).exists() and directory.plan() != plan:
    raise UserError(
      f"Work directory {path} belongs to a run with another plan ({PLAN}); "
      "nothing was changed. Choose another --workdir."
    )
  texts = {
    CONFIG: json.dumps(codec.encode(config), indent=2) + "\n",
    PLAN: plan_json.to_json(plan),
    CLASSES: json.dumps(list(classes)) + "\n",
  }
  for name, text in texts.items():
    if not (path / name).exists():
      write(path / name, text)
  if directory.status is None:
    directory.set_status("incomplete")


def _claim_data(
  directory: RunDirectory, identity: Mapping[str, Any], is_change_accepted: bool
) -> str:
  """Compares the data with those that the run began with; writes where none are."""
  path = directory.path / DATA
  # Runs of earlier releases have none.
  written = read_json(path) if path.exists() else identity
  change = ""
  if changed := [name for name in identity if written.get(name) != identity[name]]:
    before, now = (
      splits.get(changed[0], {}).get("examples") for splits in (written, identity)
    )
    what = f"{now} examples, not {before}"
    if before == now:
      what = "other names or sizes of files"
    change = (
      f"The {changed[0]} split is not the one that the run in {directory.path} began "
      f"with ({what})"
    )
  if change and not is_change_accepted:
    raise UserError(
      f"{change}; nothing was changed. Restore it, or go on with the data as they "
      "are now: --config.data.accept_changes=true."
    )
  if change or not path.exists():
    write(path, json.dumps(identity, indent=2) + "\n")
  return f"{change}, as config.data.accept_changes allows." if change else ""


def _current(saved: Any) -> Any:
  """JSON of a configuration as this release writes it; as it is if it reads none."""
  try:
    config = codec.decode(Config, saved)
  except UserError:
    return saved
  return json.loads(json.dumps(codec.encode(config)))


def _differences(
  written: Mapping[str, Any], requested: Mapping[str, Any], prefix: str = ""
) -> list[tuple[str, Any, Any]]:
  """Dotted field, value written and value requested, for each field that differs."""
  rows = []
  for name in [*requested, *(n for n in written if n not in requested)]:
    old, new = written.get(name), requested.get(name)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
      rows += _differences(old, new, f"{prefix}{name}.")
    elif old != new:
      rows.append((prefix + name, old, new))
  return rows
