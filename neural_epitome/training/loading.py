"""A trained network from its run directory."""

import contextlib
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from neural_epitome import codec, packages
from neural_epitome.checkpointing.checkpoints import Checkpoints
from neural_epitome.config import Config
from neural_epitome.distributed import devices
from neural_epitome.epitome.plan import Plan
from neural_epitome.errors import FileError, UserError
from neural_epitome.runs.directory import RunDirectory
from neural_epitome.state_dicts import reading
from neural_epitome.training import compact_loading, evaluation, gate_step, setup
from neural_epitome.training import optimizer as optimizers
from neural_epitome.training import state as states
from neural_epitome.training.feed import Feed
from neural_epitome.training.trained import Trained


def load(run_dir: str | os.PathLike, *, weights: str | None = None) -> Trained:
  """Loads the newest whole checkpoint of a run, or a compact file.

  Args:
    run_dir: the run directory, of a finished run or not, or a file written by
      `neural_epitome.export.compact`.
    weights: `ema`, `raw`, or None for `ema` where the run averaged its weights and
      `raw` where it did not; a file has one kind.

  Raises:
    UserError: if this is no run directory, it has no readable checkpoint, it has no
      such weights, or the file cannot be read.
  """
  if reading.is_state_dict(run_dir):
    raise UserError(
      f"{run_dir} does not say of which network it is: ne.load_pretrained(FILE, "
      f"config) in Python, or a run with --config.training.start={run_dir}."
    )
  if pathlib.Path(run_dir).suffix == ".safetensors":
    return _as_asked(compact_loading.load(run_dir), weights)
  directory = RunDirectory(run_dir)
  config, plan, classes = directory.config(), directory.plan(), directory.classes()
  has_ema = config.training.ema_decay > 0
  weights = weights or ("ema" if has_ema else "raw")
  if weights not in ("raw", "ema"):
    raise UserError(f"weights={weights!r} must be 'raw' or 'ema'.")
  if weights == "ema" and not has_ema:
    raise UserError(
      f"{directory.path} has no averaged weights (config.training.ema_decay=0); use "
      "weights='raw'."
    )
  if not directory.checkpoints.is_dir():
    raise UserError(f"{directory.path} has no checkpoint yet.")
  model = setup.build(config, len(classes), plan)
  state = _restore(directory, config, plan, model)
  if directory.status == "diverged":
    print(
      f"{directory.path} has diverged; these are its weights of step "
      f"{int(state.step)}, the last that were saved.",
      file=sys.stderr,
    )
  return Trained(
    model=model,
    variables=dict(state.weights()[weights]),
    plan=plan,
    config=config,
    classes=classes,
    step=int(state.step),
    weights=weights,
  )


def _as_asked(trained: Trained, weights: str | None) -> Trained:
  if weights not in (None, trained.weights):
    raise UserError(f"The file holds {trained.weights!r} weights, not {weights!r}.")
  return trained


def _restore(
  directory: RunDirectory, config: Config, plan: Plan, model: nn.Module
) -> states.State:
  # A checkpoint holds the optimiser's state too; its form does not depend on steps.
  rule, _ = optimizers.create(config.optimizer, total_steps=1, steps_per_epoch=1)
  gates = gate_step.of(config, len(directory.classes()))
  init = states.initializer(
    model,
    rule,
    config.data.input_shape,
    ema=config.training.ema_decay > 0,
    policy=dict if gates is None else gates.start,
  )
  checkpoints = Checkpoints(directory.checkpoints, None, {"plan": codec.encode(plan)})
  with contextlib.closing(checkpoints):
    like = states.abstract(init, devices.make_mesh())
    restored = checkpoints.restore(like, lambda line: print(line, file=sys.stderr))
  if restored is None:
    raise UserError(f"{directory.path} has no readable checkpoint of its plan.")
  return restored[0]


def evaluate(trained: Trained) -> dict[str, float]:
  """Evaluates on the evaluation split of `trained.config.data`.

  Classes are matched by name. What was left out of the data is told on stderr.

  Returns:
    {"examples", "top1", "top5", "loss"}: a count, shares in [0, 1], nats.

  Raises:
    UserError: if the data cannot be read, show a class that the network does not
      know, or a batch does not divide over the devices.
  """
  mesh = devices.make_mesh()
  size = trained.config.data.evaluation_batch_size
  devices.check_batch(size, mesh, "config.data.evaluation_batch_size")
  counter = evaluation.make_counter(trained.model, mesh)
  feed = Feed(trained.config, trained.classes)
  for line in feed.notes() if jax.process_index() == 0 else ():
    print(line, file=sys.stderr)
  with contextlib.closing(feed.evaluation()) as batches:
    return evaluation.evaluate(
      counter, {trained.weights: trained.variables}, batches, mesh
    )[trained.weights]


def predict(
  trained: Trained,
  files: Sequence[str | os.PathLike],
  top: int = 3,
  *,
  skip: bool = False,
) -> list[dict[str, Any]]:
  """Says what a network sees on images, prepared exactly as evaluation does.

  Args:
    trained: from `load`.
    files: image files, any size.
    top: classes named for each.
    skip: goes on where a file cannot be read.

  Returns:
    For each file {"image": its name, "top": [{"class", "probability"}, ...]}, the
    most probable class first; or {"image", "error": what is wrong} where one is
    skipped.

  Raises:
    UserError: naming a file that is absent or no image, unless it is skipped.
  """
  with packages.advised():
    from neural_epitome.data import pipeline
    from neural_epitome.data.folder_tree import printable

  @jax.jit
  def apply(images: jax.Array) -> jax.Array:
    logits: Any = trained.model.apply(trained.variables, images, train=False)
    return jax.nn.softmax(logits)

  rows = []
  for file in files:
    # One by one: any number of files compiles one program.
    name = printable(os.fspath(file))
    try:
      image = pipeline.load_file(file, trained.config.data)
    except FileError as error:
      if not skip:
        raise
      rows.append({"image": name, "error": printable(str(error))})
      continue
    probabilities = np.asarray(apply(image[None]))[0]
    best = np.argsort(-probabilities, kind="stable")[:top]
    named = [
      {"class": trained.classes[i], "probability": float(probabilities[i])}
      for i in best
    ]
    rows.append({"image": name, "top": named})
  return rows
