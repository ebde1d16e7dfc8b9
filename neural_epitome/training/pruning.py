"""The control that prunes: train dense, leave channels out, train on."""

import dataclasses
import os
import pathlib
from typing import Any

from neural_epitome.config import Config
from neural_epitome.errors import UserError
from neural_epitome.planning import DensePlanner, pruning
from neural_epitome.training import initialization, loading
from neural_epitome.training.loop import run


def run_pruned(
  config: Config,
  workdir: str | os.PathLike,
  parameters: int,
  *,
  dense_share: float = 0.5,
  minimum: int = 8,
  quiet: bool = False,
) -> dict[str, Any]:
  """Trains, prunes and fine-tunes in the epochs of one run.

  Both trainings are plain runs of the same recipe, each with a schedule of its own
  over its share of the epochs. An interrupted call is resumed by the same call.

  Args:
    config: the experiment; its planner is replaced by the dense one.
    workdir: gets the run directories `dense` and `pruned`, and `start.npz`.
    parameters: what the pruned network stores.
    dense_share: share of the epochs before pruning.
    minimum: see `pruning.prune`.
    quiet: prints nothing.

  Returns:
    The report of the second run; its `seconds` are of both.

  Raises:
    UserError: for the reasons of `loop.run` and `pruning.prune`, or if the share leaves
      no epochs.
  """
  if not 0.0 < dense_share < 1.0:
    raise UserError(f"dense_share={dense_share} must lie between 0 and 1.")
  workdir, epochs = pathlib.Path(workdir), config.training.epochs
  config = dataclasses.replace(config, planner=DensePlanner())

  def part(share: float, **changes: Any) -> Config:
    training = dataclasses.replace(config.training, epochs=share * epochs, **changes)
    return dataclasses.replace(config, training=training)

  before = run(part(dense_share), workdir / "dense", quiet=quiet)
  trained = loading.load(workdir / "dense")
  model, variables = pruning.prune(config.model, trained.variables, parameters, minimum)
  start = workdir / "start.npz"
  if not start.exists():
    initialization.save(variables, start, trained.classes)
  tuned = dataclasses.replace(part(1.0 - dense_share, start=str(start)), model=model)
  report = run(tuned, workdir / "pruned", quiet=quiet)
  return report | {"seconds": round(before["seconds"] + report["seconds"], 2)}
