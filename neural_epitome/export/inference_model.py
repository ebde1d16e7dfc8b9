"""A network as it ships: nothing that only training needs."""

import dataclasses
from typing import NamedTuple

import jax
import numpy as np

from neural_epitome.epitome import flat_variables, routing
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import GeneratorSpec
from neural_epitome.epitome.plan import Plan
from neural_epitome.training import setup
from neural_epitome.training.trained import Trained


def shipped(trained: Trained) -> Trained:
  """The same network for inference alone.

  The statistics of every batch norm are folded into its scale and bias, so that two
  numbers a channel are left; a mean of 0 and a variance of 1 (with epsilon) stand in
  their place. Routing maps are frozen: channel offsets integers on the epitome, spatial
  ones inside of it. Parameters that offsets were learned by are left out. Activations
  are float32 whatever they were in training: not every runtime knows another type.
  """
  config = dataclasses.replace(
    trained.config,
    indices=dataclasses.replace(trained.config.indices, source="fixed"),
    training=dataclasses.replace(trained.config.training, precision="float32"),
  )
  inventory = setup.take_inventory(config, len(trained.classes))
  params, statistics = (
    flat_variables.flatten(jax.device_get(trained.variables[name]))
    for name in ("params", "batch_stats")
  )
  kept = {name: params[name] for name in (*trained.plan.tensors, *inventory.rest)}
  for name in [name for name in statistics if name.endswith("/mean")]:
    layer = name.removesuffix("mean")
    variance = statistics[layer + "var"]
    factor = kept[layer + "scale"] / np.sqrt(variance + config.norm.epsilon)
    kept[layer + "bias"] = kept[layer + "bias"] - statistics[name] * factor
    kept[layer + "scale"] = factor
    statistics[name] = np.zeros_like(variance)
    statistics[layer + "var"] = np.full_like(variance, 1.0 - config.norm.epsilon)
  frozen = flat_variables.flatten(
    jax.device_get(routing.freeze(trained.variables.get("routing", {})))
  )
  for path, kernel in trained.plan.kernels.items():
    for axis in kernel.generator.offsets(kernel.shape):
      name = plans.beside(path, f"map/{axis}")
      frozen[name] = _inside(frozen[name], axis, kernel.generator, kernel.shape)
  variables = {"params": kept, "batch_stats": statistics, "routing": frozen}
  return dataclasses.replace(
    trained,
    model=setup.build(config, len(trained.classes), trained.plan),
    variables={name: flat_variables.nested(flat) for name, flat in variables.items()},
    config=config,
  )


def rounded(trained: Trained) -> Trained:
  """The same network with tensors that are rounded here, and a plan of 32 bits.

  Its layers round nothing when they read these tensors; its answers are the same.
  """
  plan = trained.plan.in_floats()
  numbers = trained.plan.rounded(flat_variables.parameters(trained.variables))
  params = flat_variables.nested(
    {name: np.asarray(value) for name, value in numbers.items()}
  )
  return dataclasses.replace(
    trained,
    model=setup.build(trained.config, len(trained.classes), plan),
    variables=trained.variables | {"params": params},
    plan=plan,
  )


def at_bits(trained: Trained, bits: int | None = None) -> Trained:
  """The same network with stored numbers of so many bits.

  Its layers round them when they read them.

  Args:
    trained: a network.
    bits: of the tensors that kernels are generated from. None leaves those that the
      network was trained at, 32 makes floats of them, and 1 to 8 are the most that any
      has, see `Plan.narrowed`. Tensors are rounded at the bits of training first, so
      that answers change as little as possible.

  Raises:
    UserError: for other bits.
  """
  plan = trained.plan
  if bits is not None:
    plan = plan.in_floats() if bits == 32 else plan.narrowed(bits)
  if plan == trained.plan:
    return trained
  return dataclasses.replace(
    rounded(trained),
    model=setup.build(trained.config, len(trained.classes), plan),
    plan=plan,
  )


class Numbers(NamedTuple):
  """What is stored of a network.

  Attributes:
    plan: how kernels come out of it, and in how many bits.
    params: float32, by name: the plan's tensors, and all else.
    offsets: by kernel and axis.
  """

  plan: Plan
  params: dict[str, np.ndarray]
  offsets: dict[str, dict[str, np.ndarray]]


def numbers(trained: Trained, bits: int | None = None) -> Numbers:
  """The stored numbers of a network from `shipped`, `at_bits`."""
  trained = at_bits(trained, bits)
  return Numbers(
    trained.plan,
    flat_variables.parameters(trained.variables),
    flat_variables.offsets(trained.plan, trained.variables),
  )


def _inside(
  value: np.ndarray, axis: str, generator: GeneratorSpec, shape: tuple[int, ...]
) -> np.ndarray:
  cells = np.asarray(generator.start_cells(shape)[axis], np.float32)
  return np.clip(value, 0.0, cells - 1) if axis == "spatial" else value % cells
