"""A network as it ships: nothing that only training needs."""

import dataclasses
from typing import Any

import jax
import numpy as np

from neural_epitome.epitome import plan as plans
from neural_epitome.epitome import routing
from neural_epitome.epitome.generators import GeneratorSpec
from neural_epitome.epitome.plan import Plan
from neural_epitome.training import setup
from neural_epitome.training.loading import Trained

Tree = dict[str, Any]


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
    flatten(jax.device_get(trained.variables[name]))
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
  frozen = flatten(jax.device_get(routing.freeze(trained.variables.get("routing", {}))))
  for path, kernel in trained.plan.kernels.items():
    for axis in kernel.generator.offsets(kernel.shape):
      name = plans.beside(path, f"map/{axis}")
      frozen[name] = _inside(frozen[name], axis, kernel.generator, kernel.shape)
  variables = {"params": kept, "batch_stats": statistics, "routing": frozen}
  return dataclasses.replace(
    trained,
    model=setup.build(config, len(trained.classes), trained.plan),
    variables={name: nested(flat) for name, flat in variables.items()},
    config=config,
  )


def rounded(trained: Trained) -> Trained:
  """The same network in float32, its numbers rounded here and no longer where read."""
  plan = trained.plan.in_floats()
  numbers = trained.plan.rounded(parameters(trained.variables))
  params = nested({name: np.asarray(value) for name, value in numbers.items()})
  return dataclasses.replace(
    trained,
    model=setup.build(trained.config, len(trained.classes), plan),
    variables=trained.variables | {"params": params},
    plan=plan,
  )


def narrowed(trained: Trained, bits: int | None) -> Trained:
  """The network whose tensors have at most so many bits, to be stored as they are read.

  Args:
    trained: a network.
    bits: 32 or 2 to 8, see `Plan.narrowed`; None for those that it was trained at.
      Where fewer are left than that, what it was trained at is rounded again.

  Raises:
    UserError: for other bits.
  """
  plan = trained.plan if bits is None else trained.plan.narrowed(bits)
  if plan == trained.plan:
    return trained
  return dataclasses.replace(
    rounded(trained),
    model=setup.build(trained.config, len(trained.classes), plan),
    plan=plan,
  )


def offsets(plan: Plan, variables: Tree) -> dict[str, dict[str, np.ndarray]]:
  """Routing maps by kernel and axis."""
  maps = flatten(variables.get("routing", {}))
  return {
    path: {axis: maps[plans.beside(path, f"map/{axis}")] for axis in axes}
    for path, kernel in plan.kernels.items()
    if (axes := kernel.generator.offsets(kernel.shape))
  }


def with_offsets(found: dict[str, dict[str, np.ndarray]]) -> Tree:
  """The `routing` collection that `offsets` read."""
  flat: dict[str, Any] = {}
  for path, axes in found.items():
    for axis, offset in axes.items():
      flat[plans.beside(path, f"map/{axis}")] = np.asarray(offset, np.float32)
    flat[plans.beside(path, "weight")] = np.float32(1.0)
    flat[plans.beside(path, "frozen")] = np.array(True)
  return nested(flat)


def parameters(variables: Tree) -> dict[str, np.ndarray]:
  """Trained parameters by slash-separated path."""
  return flatten(variables["params"])


def nested(flat: dict[str, Any]) -> Tree:
  """The tree whose leaves have these slash-separated paths."""
  tree: Tree = {}
  for name, leaf in flat.items():
    *parents, last = name.split("/")
    node = tree
    for parent in parents:
      node = node.setdefault(parent, {})
    node[last] = leaf
  return tree


def flatten(tree: Tree) -> dict[str, np.ndarray]:
  """Arrays by slash-separated path: the inverse of `nested`."""
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {"/".join(key.key for key in path): np.asarray(leaf) for path, leaf in leaves}


def _inside(
  value: np.ndarray, axis: str, generator: GeneratorSpec, shape: tuple[int, ...]
) -> np.ndarray:
  cells = np.asarray(generator.start_cells(shape)[axis], np.float32)
  return np.clip(value, 0.0, cells - 1) if axis == "spatial" else value % cells
