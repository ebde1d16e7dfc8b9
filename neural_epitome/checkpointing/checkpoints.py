"""Saving and restoring a pytree: a thin wall around Orbax, whose interface moves.

A checkpoint holds the state and a small JSON record (plan, configuration, seconds
trained). It is written asynchronously and becomes visible by a rename once whole.
The step is read from the restored state, never from a file name.
"""

import enum
import json
import pathlib
import time
import warnings
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import jax
import orbax.checkpoint as ocp
from etils import epath

from neural_epitome.checkpointing import orbax_clock, orbax_noise
from neural_epitome.checkpointing.errors import (
  explain_unwritable,
  first_line,
  is_passing,
)
from neural_epitome.checkpointing.write_failures import WriteFailures
from neural_epitome.distributed import collectives
from neural_epitome.epitome import plan_json
from neural_epitome.errors import UserError

Record = dict[str, Any]


class Stepped(Protocol):
  """A pytree that knows its step, an int32 scalar, under the attribute `step`."""

  @property
  def step(self) -> jax.Array:
    """Updates done so far."""
    ...


State = TypeVar("State", bound=Stepped)

_POLL_SECONDS = 0.02
# Seconds before a checkpoint is read again that could not be for a reason that passes.
RETRY_SECONDS = (1.0, 3.0, 10.0)


class _Read(enum.IntEnum):
  """What came of reading a checkpoint in one process."""

  WHOLE = 0
  DAMAGED = 1
  FAILED = 2


class Checkpoints:
  """The checkpoints of one run directory."""

  def __init__(self, directory: pathlib.Path, keep: int | None, record: Record):
    """Opens `directory`, creating it where it is not.

    Args:
      directory: where checkpoints lie, one folder a step.
      keep: newest ones kept; None only reads, beside a run that may be writing.
      record: JSON-ready data that goes into every checkpoint; `plan` in it is
        what a checkpoint must agree with to be restored.
    """
    orbax_noise.quieten()
    orbax_clock.steady()
    self.directory = pathlib.Path(directory).absolute()
    self._record = json.loads(json.dumps(record))
    self._read_only = keep is None
    self._failures = WriteFailures()
    # The other processes wait for what will not come.
    self._is_broken = False
    if keep is None:
      self._options = ocp.CheckpointManagerOptions(read_only=True, create=False)
    else:
      self._options = ocp.CheckpointManagerOptions(
        max_to_keep=max(1, keep),
        cleanup_tmp_directories=True,
        async_options=ocp.AsyncOptions(barrier_sync_fn=self._failures.barrier),
      )
    self._manager = self._open()

  def _open(self) -> ocp.CheckpointManager:
    return ocp.CheckpointManager(
      self.directory, options=self._options, item_handlers=_handlers()
    )

  def steps(self) -> list[int]:
    """Steps of which there is a committed checkpoint, oldest first."""
    return sorted(self._manager.all_steps())

  def save(self, state: Stepped, **more: Any) -> int:
    """Starts writing `state`; `more` joins the JSON record. Returns the step.

    The state may be donated as soon as this returns. A failure of the write before
    this one is raised here.

    Raises:
      UserError: if the disk is full or cannot be reached.
    """
    step = int(state.step)
    with explain_unwritable(self.directory):
      self._finish_write()
      if step in self._manager.all_steps():
        return step
      arguments = ocp.args.Composite(
        state=ocp.args.StandardSave(_flatten(state)),
        record=ocp.args.JsonSave(self._record | more),
      )
      self._manager.save(step, args=arguments, force=True)
    return step

  def wait(self) -> None:
    """Returns once the write in progress is on disk.

    Raises:
      UserError: if the disk is full or cannot be reached.
    """
    with explain_unwritable(self.directory):
      self._finish_write()

  def _finish_write(self) -> None:
    try:
      while self._manager.is_saving_in_progress():
        self._manager.check_for_errors()
        self._failures.check()
        time.sleep(_POLL_SECONDS)
      self._manager.wait_until_finished()
      self._manager.check_for_errors()
    except BaseException:
      self._is_broken = jax.process_count() > 1
      raise

  def close(self) -> None:
    """Waits for the write in progress and ends Orbax's threads; never raises.

    One of several processes whose write failed waits for nothing.
    """
    if self._is_broken:
      return
    try:
      self._manager.close()
    except Exception as error:
      warnings.warn(f"Closing the checkpoints: {error}", stacklevel=2)

  def restore(
    self, like: State, say: Callable[[str], None]
  ) -> tuple[State, Record] | None:
    """The newest checkpoint that is whole and of this plan.

    One that is truncated, or of another plan, is moved to `<directory>_set_aside`
    (unless only reading), so that training can write its step again and nothing is
    lost. All processes must call it, and none sets aside what another can read.

    Args:
      like: state of the run's shapes, types and shardings (arrays are not read).
      say: is called with one line about every checkpoint passed over.

    Returns:
      The state and the JSON record, or None if no checkpoint can be used.

    Raises:
      UserError: if a process cannot read one that is not damaged, not at a later
        attempt either.
    """
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, _flatten(like))
    arguments = ocp.args.Composite(
      state=ocp.args.StandardRestore(abstract), record=ocp.args.JsonRestore()
    )
    # A shared file system may show processes different ones for a while.
    steps = collectives.of_first(self.steps())
    while steps:
      step = steps.pop()
      content, reason = self._read(step, arguments)
      if content is not None:
        record, flat = content["record"], content["state"]
        if not plan_json.is_same(record.get("plan"), self._record.get("plan")):
          reason = "is of another plan"
        elif int(flat[".step"]) != step:
          reason = "does not hold the step it is named after"
        else:
          return _unflatten(like, flat), record
      if not self._read_only:
        self._set_aside(step)
      fallback = f"the one of step {steps[-1]}" if steps else "the beginning"
      say(f"Checkpoint of step {step} {reason}; falling back to {fallback}.")
    return None

  def _read(self, step: int, arguments: Any) -> tuple[Any, str]:
    """A checkpoint, or None and why it is damaged, in all processes alike."""
    for seconds in (*RETRY_SECONDS, None):
      content, reason, outcome = self._read_once(step, arguments)
      outcomes = collectives.of_all(outcome)
      if set(outcomes) == {_Read.WHOLE}:
        return content, ""
      if set(outcomes) == {_Read.DAMAGED}:
        return None, reason
      del content
      if seconds is not None:
        time.sleep(seconds)
    if not reason:
      others = [i for i, outcome in enumerate(outcomes) if outcome != _Read.WHOLE]
      reason = f"cannot be read by process {', '.join(map(str, others))}"
    raise UserError(
      f"Checkpoint of step {step} {reason}, and is not known to be damaged; it is "
      f"kept. Run the same command again when {self.directory} can be read, or move "
      f"{self.directory / str(step)} away to fall back."
    )

  def _read_once(self, step: int, arguments: Any) -> tuple[Any, str, _Read]:
    with orbax_noise.silent_coroutines():
      try:
        return self._load(step, arguments), "", _Read.WHOLE
      except Exception as error:
        outcome = _Read.FAILED if is_passing(error) else _Read.DAMAGED
        return None, f"cannot be read ({first_line(error)})", outcome

  def _load(self, step: int, arguments: Any) -> Any:
    # Not through the manager: a process that it has read for waits for the others at a
    # barrier, to which one whose read failed does not come.
    reader = ocp.CompositeCheckpointHandler(**_handlers())
    return reader.restore(epath.Path(self.directory / str(step)), arguments)

  def _set_aside(self, step: int) -> None:
    self._manager.close()
    if jax.process_index() == 0:
      aside = self.directory.with_name(self.directory.name + "_set_aside")
      aside.mkdir(exist_ok=True)
      number = 0
      while (target := aside / f"{step}.{number}").exists():
        number += 1
      (self.directory / str(step)).rename(target)
    if jax.process_count() > 1:
      from jax.experimental import multihost_utils

      multihost_utils.sync_global_devices("checkpoint set aside")
    self._manager = self._open()


def _handlers() -> dict[str, Any]:
  return {
    "state": ocp.StandardCheckpointHandler(),
    "record": ocp.JsonCheckpointHandler(),
  }


def _flatten(state: Any) -> dict[str, Any]:
  """Leaves by path: empty subtrees and Optax's own node types do not matter."""
  leaves = jax.tree_util.tree_leaves_with_path(state)
  return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _unflatten(like: State, flat: dict[str, Any]) -> State:
  return jax.tree_util.tree_map_with_path(
    lambda path, _: flat[jax.tree_util.keystr(path)], like
  )
