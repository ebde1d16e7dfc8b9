"""A trained network in so many bytes, as the start of a run that trains it on."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from neural_epitome.compression import best, measured
from neural_epitome.compression.compressed import Compressed
from neural_epitome.config import Config
from neural_epitome.cost import totals
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import Dense
from neural_epitome.epitome.plan import Plan
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.errors import UserError
from neural_epitome.planning import ChosenPlanner, budget
from neural_epitome.training import refit, setup
from neural_epitome.training.trained import Trained

Tree = Any

# Trials of spending the budget: what the file has beside the plan changes little.
_TRIALS = 4


@dataclasses.dataclass(frozen=True)
class SmallStart:
  """How a run goes on from a network that was stored small.

  Attributes:
    planner: that says what is stored.
    variables: of the network, see `initialization.save`.
    stored_bytes: of everything, as a plan's price.
    whole_bytes: of the dense network, in float32.
  """

  planner: ChosenPlanner
  variables: dict[str, Tree]
  stored_bytes: int
  whole_bytes: int


def check(config: Config) -> None:
  """Looks at what a configuration asks for, before anything is trained.

  Raises:
    UserError: if its budget is not understood, or it chooses bits beside it.
  """
  if not config.training.budget:
    return
  if config.bits != 32:
    raise UserError(
      f"config.bits={config.bits} cannot be asked for beside config.training.budget, "
      "which has bits of its own for every kernel."
    )
  inventory = setup.take_inventory(config, setup.count_classes(config))
  _allowed(config, inventory)


def indices(config: Config) -> IndexOptions:
  """Where starts come from: they are learned by gradient only where that was asked."""
  source = "free" if config.indices.source == "free" else "fixed"
  return dataclasses.replace(config.indices, source=source)


def _allowed(config: Config, inventory: Inventory) -> tuple[int, int]:
  """Bytes that may be stored, and those of the dense network."""
  whole = totals.price(plans.make(inventory.kernels, {}), inventory).stored_bytes
  text = config.training.budget
  try:
    return budget.file_bytes(text, whole), whole
  except UserError:
    raise UserError(
      f"config.training.budget={text!r} must be bytes ('1.5MB') or how many times "
      "smaller than the dense network ('25x')."
    ) from None


def make(trained: Trained, config: Config, quiet: bool) -> SmallStart:
  """Stores a network in the budget of a configuration.

  Args:
    trained: the network.
    config: whose training.budget is bytes of all that is stored, biases and norms too,
      or how many times smaller than the dense network in float32.
    quiet: shows no progress.

  Raises:
    UserError: if the budget is not understood or cannot be met, or the network is of
      another architecture or number of classes than the configuration's.
  """
  classes, start = setup.count_classes(config), config.training.start
  if len(trained.classes) != classes:
    raise UserError(
      f"config.training.start={start!r} tells {len(trained.classes)} classes apart, "
      f"the data {classes}: train it on them first, with config.training.dense_epochs."
    )
  inventory = setup.take_inventory(config, classes)
  if plans.make(inventory.kernels, {}).architecture != trained.plan.architecture:
    raise UserError(
      f"config.training.start={start!r} is a network of another architecture than "
      "config.model: it cannot be stored small for this run."
    )
  arrays = {
    name: np.asarray(leaf)
    for name, leaf in traverse_util.flatten_dict(
      jax.device_get(dict(trained.variables)), sep="/"
    ).items()
  }
  (allowed, whole), text = _allowed(config, inventory), config.training.budget
  params = {
    name.removeprefix("params/"): leaf
    for name, leaf in arrays.items()
    if name.startswith("params/")
  }
  # Not what offsets are learned by.
  rest = {name: params[name] for name in inventory.rest}
  tree = traverse_util.unflatten_dict(
    rest | refit.expanded(arrays, trained.plan), sep="/"
  )
  choosing = best.prepare(tree, quiet=quiet)
  found: tuple[Compressed, ChosenPlanner, int] | None = None
  target = allowed
  for _ in range(_TRIALS):
    try:
      small = choosing.within(target)
    except measured.TooSmall as error:
      least = error.smallest + allowed - target
      raise UserError(
        f"config.training.budget={text!r}, {allowed:,} bytes, cannot be met: the "
        f"smallest network that is worth anything takes about {least:,}."
      ) from None
    planner = _planner(small.plan)
    nbytes = totals.price(planner.plan(inventory), inventory).stored_bytes
    if nbytes <= allowed and (found is None or nbytes > found[2]):
      found = small, planner, nbytes
    if 0 <= allowed - nbytes <= allowed // 500:
      break
    # The file that `within` counts has other things beside the plan.
    target += allowed - nbytes
  if found is None:
    raise UserError(
      f"config.training.budget={text!r}, {allowed:,} bytes, was not met; ask for a "
      "little more."
    )
  small, planner, nbytes = found
  config = dataclasses.replace(
    config, planner=planner, bits=32, indices=indices(config)
  )
  return SmallStart(planner, _variables(small, arrays, config, trained), nbytes, whole)


def _planner(plan: Plan) -> ChosenPlanner:
  """What is stored of every kernel, for a configuration."""
  generators, bits = {}, {}
  for path, kernel in plan.kernels.items():
    if not isinstance(kernel.generator, Dense):
      generators[path] = kernel.generator
    widths = [
      plan.tensors[name].bits
      for role, name in kernel.tensors.items()
      if kernel.generator.tensor_bits(role) is None
    ]
    if widths and min(widths) < 32:
      bits[path] = min(widths)
  return ChosenPlanner(generators=generators, bits=bits)


def _variables(
  small: Compressed, arrays: Mapping[str, np.ndarray], config: Config, trained: Trained
) -> dict[str, Tree]:
  """Of the network that the configuration builds."""
  inventory = setup.take_inventory(config, len(trained.classes))
  plan = setup.make_plan(config, inventory)
  model = setup.build(config, len(trained.classes), plan)
  images = jnp.zeros((1, *config.data.input_shape), jnp.float32)
  init = jax.jit(functools.partial(model.init, train=False))
  fresh = traverse_util.flatten_dict(
    jax.device_get(dict(init(jax.random.key(0), images))), sep="/"
  )
  stored = {f"params/{name}": value for name, value in small.compact.items()}
  for path, kernel in plan.kernels.items():
    names = small.plan.kernels[path].tensors
    stored |= {
      f"params/{name}": small.compact[names[role]]
      for role, name in kernel.tensors.items()
    }
  stored |= refit.placed(small.offsets, fresh, config.indices.span)
  found = {
    name: stored.get(name, arrays.get(name, leaf)) for name, leaf in fresh.items()
  }
  return traverse_util.unflatten_dict(
    {name: np.asarray(value, np.float32) for name, value in found.items()}, sep="/"
  )
