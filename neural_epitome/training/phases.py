"""A run of two phases: the dense network, and then the same in so many bytes.

    --config.training.dense_epochs=5 --config.training.budget=25x

The dense network is trained first, in `dense` inside the work directory, or given as
`config.training.start`. Every kernel of it is stored in the way that loses least for
its bytes (`compression.best`), and what is stored is trained on, taught by the dense
network unless another teacher is named. Both phases are plain runs: interrupted, the
same call resumes.
"""

import dataclasses
import json
import os
from typing import Any

import jax

from neural_epitome import codec
from neural_epitome.config import Config, checked
from neural_epitome.distributed.collectives import agreed, wait_for_shared
from neural_epitome.errors import UserError
from neural_epitome.planning import DensePlanner, Planner
from neural_epitome.runs import claims
from neural_epitome.runs.directory import CONFIG, RunDirectory, read_json, write
from neural_epitome.training import initialization, loading, loop, small_start

# In the work directory, beside what a run has: what was asked for, the first phase, and
# the second one's variables and planner.
REQUEST, DENSE, START, PLANNER = "request.json", "dense", "start.npz", "planner.json"


def run(
  config: Config,
  workdir: str | os.PathLike,
  *,
  quiet: bool = False,
  profile_steps: range | None = None,
  command: str | None = None,
) -> dict[str, Any]:
  """Trains, or resumes, or finds it done; see `loop.run`, and the module.

  Args:
    config: the experiment.
    workdir: the run directory; made where it is not.
    quiet: prints nothing but what is skipped.
    profile_steps: of the second phase, see `loop.run`.
    command: see `loop.run`.

  Returns:
    The report of the network that ships.

  Raises:
    UserError: for the reasons of `loop.run`; if there is a budget and no network to
      store in it, or it cannot be met.
    SystemExit: with code 143 after SIGTERM, see `loop.run`.
    KeyboardInterrupt: likewise after Ctrl-C.
  """
  config = checked(config)
  if config.training.dense_epochs or config.training.budget:
    directory = RunDirectory(workdir)
    config = _second(config, directory, quiet or jax.process_index() != 0)
  return loop.run(
    config, workdir, quiet=quiet, profile_steps=profile_steps, command=command
  )


def _second(config: Config, directory: RunDirectory, quiet: bool) -> Config:
  """The second phase, once what comes before it is done."""
  options, path = config.training, directory.path
  if not (options.start or options.dense_epochs):
    raise UserError(
      f"config.training.budget={options.budget!r} needs a trained network: name it as "
      "config.training.start, or train it first for config.training.dense_epochs."
    )
  small_start.check(config)
  _claim(directory, config)
  start = options.start
  if options.dense_epochs:
    start = os.fspath(path / DENSE)
    if not agreed((path / CONFIG).exists()):
      loop.run(_dense(config), start, quiet=quiet)
  options = dataclasses.replace(options, start=start, teacher=options.teacher or start)
  config = dataclasses.replace(config, training=options)
  if not options.budget:
    return config
  if not agreed((path / PLANNER).exists()):
    # A checkpoint is read by all processes together; what the first makes of it counts.
    _, trained = initialization.read(start, config)
    trained = trained or loading.load(start)  # says what is no network
    small = small_start.make(trained, config, quiet)
    if jax.process_index() == 0:
      initialization.save(small.variables, path / START, trained.classes)
    write(path / PLANNER, json.dumps(codec.encode(small.planner), indent=2) + "\n")
  wait_for_shared(path / PLANNER)
  planner = codec.decode(Planner, read_json(path / PLANNER), str(path / PLANNER))
  options = dataclasses.replace(options, start=os.fspath(path / START))
  return dataclasses.replace(
    config,
    planner=planner,
    indices=small_start.indices(config),
    training=options,
  )


def _claim(directory: RunDirectory, config: Config) -> None:
  """Refuses a directory that another run began in; only process 0 looks.

  The second phase has another start and teacher than were asked for, so these are
  written down.
  """
  if jax.process_index() != 0:
    return
  path, options = directory.path, config.training
  asked = {"start": options.start, "teacher": options.teacher}
  if not (path / REQUEST).exists():
    claims.check(directory, config)
    write(path / REQUEST, json.dumps(asked, indent=2) + "\n")
  begun = read_json(path / REQUEST)
  for name, value in asked.items():
    if begun.get(name) != value:
      raise UserError(
        f"Work directory {path} belongs to a run with config.training.{name}="
        f"{json.dumps(begun.get(name))}, not {json.dumps(value)}; nothing was changed. "
        "Choose another --workdir."
      )


def _dense(config: Config) -> Config:
  """The first phase."""
  training = dataclasses.replace(
    config.training,
    epochs=config.training.dense_epochs,
    dense_epochs=0.0,
    budget="",
    frozen_fraction=0.0,
  )
  return dataclasses.replace(config, planner=DensePlanner(), bits=32, training=training)
