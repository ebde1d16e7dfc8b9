"""What a run consists of before its first step: data, plan, model, numbers of steps."""

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from neural_epitome import models, packages
from neural_epitome.config import Config
from neural_epitome.cost import inventory as inventories
from neural_epitome.distributed import devices
from neural_epitome.epitome import rounding
from neural_epitome.epitome.plan import Plan
from neural_epitome.errors import UserError

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


class Feed:
  """The data of a run: this process's rows of every batch.

  Attributes:
    classes: class names, by label.
    examples: number of training examples.
    bad: those that could not be decoded, as far as this process knows: its own, and
      at the last `share_bad` those of all.
  """

  def __init__(self, config: Config):
    """Opens both splits. Raises UserError if one cannot be."""
    # Imported here: a trained network is loaded and priced without Grain or TFDS.
    with packages.told():
      from neural_epitome.data import bad_examples, pipeline, sources

    limit = config.data.maximum_bad_examples
    self.bad = bad_examples.BadExamples(limit)
    self._bad_in_evaluation = bad_examples.BadExamples(limit)
    self._pipeline = pipeline
    self._options, self._seed = config.data, config.training.seed
    self._train = sources.open_source(config.data, config.data.train_split)
    self._evaluation = sources.open_source(config.data, config.data.evaluation_split)
    self.classes = tuple(self._train.classes)
    self.examples = len(self._train)

  def training(self, start_step: int) -> Any:
    """The infinite stream of training batches from `start_step`; close it."""
    return self._pipeline.training_batches(
      self._train,
      self._options,
      seed=self._seed,
      start_step=start_step,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
      bad=self.bad,
    )

  def evaluation(self) -> Any:
    """One pass over the evaluation split; close it."""
    return self._pipeline.evaluation_batches(
      self._evaluation,
      self._options,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
      bad=self._bad_in_evaluation,
    )

  def evaluation_inputs(self, positions: Sequence[int]) -> list[np.ndarray]:
    """Evaluation examples at some positions; see `pipeline.evaluation_inputs`."""
    return self._pipeline.evaluation_inputs(self._evaluation, self._options, positions)

  def share_bad(self) -> None:
    """Tells all processes which examples each could not decode; all must call it.

    Raises:
      UserError: in all of them, if together they met more than are allowed.
    """
    for bad in (self.bad, self._bad_in_evaluation):
      bad.merge(_union(bad.untold))

  def count_bad(self, evaluated: float) -> dict[str, int]:
    """How many examples of each split could not be decoded; all processes ask alike.

    Args:
      evaluated: examples that all processes together evaluated.

    Raises:
      UserError: as `share_bad`.
    """
    self.share_bad()
    return {
      "bad_train_examples": len(self.bad.indices),
      "bad_evaluation_examples": len(self._evaluation) - int(evaluated),
    }


def _union(own: Collection[int]) -> set[int]:
  """The indices of all processes together."""
  if jax.process_count() == 1:
    return set(own)
  # How many first, so that all send the same shape; mostly there are none.
  longest = int(multihost_utils.process_allgather(np.int32(len(own))).max())
  if not longest:
    return set()
  padded = np.full(longest, -1, np.int32)
  padded[: len(own)] = sorted(own)
  return set(np.ravel(multihost_utils.process_allgather(padded)).tolist()) - {-1}


@dataclasses.dataclass(frozen=True)
class Setup:
  """See `prepare`.

  Attributes:
    mesh: of all devices.
    feed: the data.
    classes: class names, by label.
    input_shape: (*space, channels) of the network's input.
    inventory: the kernels of the architecture.
    plan: how each is generated.
    model: the network that trains.
    steps_per_epoch: a fraction where batches cross the end of an epoch.
    total_steps: of the whole run.
    freeze_step: first step with the routing map frozen.
  """

  mesh: Mesh
  feed: Feed
  classes: tuple[str, ...]
  input_shape: tuple[int, ...]
  inventory: inventories.Inventory
  plan: Plan
  model: nn.Module
  steps_per_epoch: float
  total_steps: int
  freeze_step: int


def take_inventory(config: Config, classes: int) -> inventories.Inventory:
  """The kernels of the configuration's architecture."""
  module = models.create(config.model, classes)
  return inventories.take(module, config.data.input_shape)


def plan(config: Config) -> tuple[inventories.Inventory, Plan]:
  """The kernels of a configuration's architecture and the plan for them.

  It needs no data where the configuration says how many classes there are.

  Raises:
    UserError: if neither the data nor config.data.classes says it, the plan cannot be
      made, or config.bits cannot be had.
  """
  rounding.check_bits(config.bits)
  from neural_epitome.data import sources

  data = config.data
  classes = data.classes or len(sources.open_source(data, data.train_split).classes)
  inventory = take_inventory(config, classes)
  return inventory, make_plan(config, inventory)


def make_plan(config: Config, inventory: inventories.Inventory) -> Plan:
  """The plan of a configuration: its planner's, at no more than its bits.

  Raises:
    UserError: if it cannot be made, or config.bits cannot be had.
  """
  return config.planner.plan(inventory).narrowed(config.bits)


def build(
  config: Config, classes: int, plan: Plan, *, merged: bool = False
) -> nn.Module:
  """The network of a configuration, its kernels generated as the plan says.

  Args:
    config: of a run.
    classes: number of classes.
    plan: of the configuration's architecture.
    merged: see `models.create`.
  """
  is_global = config.training.batch_norm == "global"
  return models.create(
    config.model,
    classes,
    plan=plan,
    indices=config.indices,
    execution=config.execution,
    norm=config.norm,
    dtype=DTYPES[config.training.precision],
    axis_name=devices.AXIS,
    norm_axis_name=devices.AXIS if is_global else None,
    merged=merged,
  )


def count_steps(config: Config, examples: int) -> tuple[float, int, int]:
  """Steps of an epoch (a fraction), of the run, and the first frozen step.

  Raises:
    UserError: if epochs or the frozen fraction are out of range.
  """
  options = config.training
  if not 0 < options.epochs < float("inf"):
    raise UserError(f"config.training.epochs={options.epochs} must be above 0.")
  if not 0 <= options.frozen_fraction <= 1:
    raise UserError(
      f"config.training.frozen_fraction={options.frozen_fraction} must lie in [0, 1]."
    )
  per_epoch = examples / config.data.batch_size
  total = max(1, round(options.epochs * per_epoch))
  return per_epoch, total, total - round(options.frozen_fraction * total)


def prepare(config: Config) -> Setup:
  """Opens the data, takes the inventory, makes the plan and builds the network.

  Nothing is trained, initialised or written.

  Raises:
    UserError: if the data cannot be read, batches do not divide over the devices,
      or the plan cannot be made.
  """
  mesh = devices.make_mesh()
  data = config.data
  mixes = data.augmentation.mixup > 0
  devices.check_batch(data.batch_size, mesh, "config.data.batch_size", pairs=mixes)
  devices.check_batch(
    data.evaluation_batch_size, mesh, "config.data.evaluation_batch_size"
  )
  feed = Feed(config)
  inventory = take_inventory(config, len(feed.classes))
  plan = make_plan(config, inventory)
  per_epoch, total, freeze = count_steps(config, feed.examples)
  return Setup(
    mesh=mesh,
    feed=feed,
    classes=feed.classes,
    input_shape=data.input_shape,
    inventory=inventory,
    plan=plan,
    model=build(config, len(feed.classes), plan),
    steps_per_epoch=per_epoch,
    total_steps=total,
    freeze_step=freeze,
  )
