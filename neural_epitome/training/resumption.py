"""The state that training goes on from: the newest whole checkpoint, or a new one."""

import sys
from collections.abc import Callable
from typing import Any

import jax

from neural_epitome.checkpointing.checkpoints import Checkpoints
from neural_epitome.config import Config
from neural_epitome.runs.directory import RunDirectory
from neural_epitome.training import initialization
from neural_epitome.training import state as states
from neural_epitome.training.programs import Programs
from neural_epitome.training.setup import Setup


def restore_or_create(
  config: Config,
  setup: Setup,
  programs: Programs,
  checkpoints: Checkpoints,
  directory: RunDirectory,
  say: Callable[[str], None],
) -> tuple[states.State, dict[str, Any]]:
  """Restores the newest whole checkpoint, or creates the state of step 0.

  A run that has diverged is marked `incomplete` again, and a line on stderr says from
  which step it goes on. The examples that earlier sessions could not decode are added
  to `setup.feed.bad`.

  Args:
    config: the experiment; `config.training.start` names what a new state is made of,
      if not of random variables.
    setup: of the run.
    programs: of the run; they say what the state holds.
    checkpoints: of the run.
    directory: of the run.
    say: prints a line to the user.

  Returns:
    The state on the mesh, and what was recorded beside its checkpoint: `seconds` of
    wall clock, `bad_examples` and, after the last step, `finished`. The record of a
    new state is empty.

  Raises:
    UserError: if `config.training.start` does not fit the network, or no checkpoint
      can be read.
  """
  options = config.training
  init = states.initializer(
    setup.model,
    programs.rule,
    setup.input_shape,
    ema=options.ema_decay > 0,
    policy=programs.start_policy,
  )
  restored = checkpoints.restore(states.abstract(init, setup.mesh), say)
  if directory.status == "diverged":
    if jax.process_index() == 0:
      step = 0 if restored is None else int(restored[0].step)
      print(
        f"{directory.path} has diverged; it goes on from step {step}, and may "
        "diverge again.",
        file=sys.stderr,
      )
    directory.set_status("incomplete")
  if restored is None:
    state = states.create(init, options.seed, setup.mesh)
    if options.start:
      state = initialization.begin(
        state, options.start, setup.plan, config, say, classes=setup.classes
      )
    return state, {}
  step = int(restored[0].step)
  setup.feed.bad.indices.update(restored[1].get("bad_examples", ()))
  say(f"Resuming {directory.path} at step {step}/{setup.total_steps}.")
  return restored
