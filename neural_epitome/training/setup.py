"""What a run consists of before its first step: data, plan, model, numbers of steps."""

import dataclasses

import jax.numpy as jnp
from flax import linen as nn
from jax.sharding import Mesh

from neural_epitome import models
from neural_epitome.config import Config, checked
from neural_epitome.cost import inventory as inventories
from neural_epitome.distributed import devices
from neural_epitome.epitome.plan import Plan
from neural_epitome.training.feed import Feed

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


@dataclasses.dataclass(frozen=True)
class Setup:
  """All that a run is made of before its first step; `prepare` makes it.

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
  told = config.model.inventory(classes, config.data.input_shape)
  return told or inventories.take(module, config.data.input_shape)


def plan(config: Config) -> tuple[inventories.Inventory, Plan]:
  """The kernels of a configuration's architecture and the plan for them.

  It needs no data where the configuration says how many classes there are.

  Raises:
    UserError: if neither the data nor config.data.classes says how many classes there
      are, the plan cannot be made, or its tensors cannot have config.bits.
  """
  config = checked(config)
  inventory = take_inventory(config, count_classes(config))
  return inventory, make_plan(config, inventory)


def count_classes(config: Config) -> int:
  """Of the configuration, or of its data where it does not say.

  Raises:
    UserError: if neither says.
  """
  from neural_epitome.data import sources

  data = config.data
  return data.classes or len(sources.open_source(data, data.train_split).classes)


def make_plan(config: Config, inventory: inventories.Inventory) -> Plan:
  """The plan of a configuration: its planner's, at no more than its bits.

  Raises:
    UserError: if it cannot be made, or its tensors cannot have config.bits.
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
  """Steps of an epoch (a fraction), of the run, and the first frozen step."""
  options = config.training
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
