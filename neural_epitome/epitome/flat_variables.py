"""The variables of a network as arrays by name, and its routing maps by kernel.

A name is the path of a variable, joined by slashes: `block_1/expand/epitome`.
"""

from typing import Any

import jax
import numpy as np

from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.plan import Plan

Tree = dict[str, Any]


def offsets(plan: Plan, variables: Tree) -> dict[str, dict[str, np.ndarray]]:
  """The routing maps of a network: offsets by axis, by the path of the kernel.

  Args:
    plan: of the network; kernels whose generator has no offsets are left out.
    variables: of the network, with its `routing` collection.
  """
  maps = flatten(variables.get("routing", {}))
  return {
    path: {axis: maps[plans.beside(path, f"map/{axis}")] for axis in axes}
    for path, kernel in plan.kernels.items()
    if (axes := kernel.generator.offsets(kernel.shape))
  }


def with_offsets(offsets: dict[str, dict[str, np.ndarray]]) -> Tree:
  """The `routing` collection from which `offsets` reads these maps, frozen."""
  flat: dict[str, Any] = {}
  for path, axes in offsets.items():
    for axis, offset in axes.items():
      flat[plans.beside(path, f"map/{axis}")] = np.asarray(offset, np.float32)
    flat[plans.beside(path, "weight")] = np.float32(1.0)
    flat[plans.beside(path, "frozen")] = np.array(True)
  return nested(flat)


def parameters(variables: Tree) -> dict[str, np.ndarray]:
  """The collection `params` as arrays by slash-separated path."""
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
