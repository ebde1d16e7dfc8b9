"""A parameter tree of any Flax model as named leaves, and which of them are kernels.

Linen's dictionaries, boxed (partitioned) or not, NNX states, lists: whatever JAX can
flatten. Names are keys joined by slashes.
"""

import fnmatch
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome import codec
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.epitome.plan import Plan
from neural_epitome.epitome.sampling import Shape
from neural_epitome.errors import UserError

Tree = Any

# Names that are kernels unless you say otherwise.
KERNELS = ("*kernel", "*embedding")
# Trailing axes that are outputs, of projections whose heads have an axis of their own
# (`MultiHeadDotProductAttention` of Linen, `MultiHeadAttention` of NNX).
HEADS = {"*query/kernel": 2, "*key/kernel": 2, "*value/kernel": 2, "*out/kernel": 1}
# With fewer inputs a kernel is a first layer's or a depthwise one's, and stays dense.
_FEWEST_INPUTS = 5


@dataclass(frozen=True)
class Leaves:
  """A tree taken apart.

  Attributes:
    arrays: every leaf by name, in the tree's order.
    structure: of the tree, for JAX.
  """

  arrays: Mapping[str, Any]
  structure: Any

  def together(self, arrays: Mapping[str, Any]) -> Tree:
    """The tree with these leaves."""
    leaves = [arrays[name] for name in self.arrays]
    return jax.tree_util.tree_unflatten(self.structure, leaves)

  def reshaped(self, plan: Plan) -> dict[str, list[int]]:
    """Shapes, by name, of the leaves whose kernel is generated in another one."""
    return {
      name: list(leaf.shape)
      for name, leaf in self.arrays.items()
      if name in plan.kernels and plan.kernels[name].shape != leaf.shape
    }


def take_apart(tree: Tree) -> Leaves:
  """Names the leaves of a tree.

  Raises:
    UserError: if it has none, or one that is no array.
  """
  pairs, structure = jax.tree_util.tree_flatten_with_path(tree)
  arrays = {"/".join(_keys(path)): leaf for path, leaf in pairs}
  if not arrays or len(arrays) < len(pairs):
    raise UserError("compress needs a tree of parameters whose names all differ.")
  for name, leaf in arrays.items():
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
      raise UserError(f"{name!r} is no array but of type {type(leaf).__name__}.")
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
      raise UserError(
        f"{name!r} is a random key, not a parameter; of an NNX model take "
        "nnx.state(model, nnx.Param)."
      )
  return Leaves(arrays, structure)


def _keys(path: Iterable[Any]) -> list[str]:
  keys = []
  for key in path:
    for attribute in ("key", "idx", "name"):
      if hasattr(key, attribute):
        keys.append(str(getattr(key, attribute)))
        break
  # The box around an array is no part of its name.
  return keys[:-1] if len(keys) > 1 and keys[-1] == "value" else keys


def check_finite(leaves: Leaves) -> None:
  """Raises UserError, naming a leaf that has NaN or infinite values: none is stored."""
  for name, leaf in leaves.arrays.items():
    if jnp.issubdtype(leaf.dtype, jnp.inexact) and not np.isfinite(leaf).all():
      raise UserError(
        f"{name} has values that are not finite, of which no file is written; take the "
        "parameters of an earlier step."
      )


def take_inventory(
  leaves: Leaves, only: Sequence[str], outputs: Mapping[str, int]
) -> Inventory:
  """Kernels of a tree, each in the shape that it is generated in, and all the rest.

  Args:
    leaves: of the tree.
    only: shell patterns of the names that are kernels.
    outputs: by shell pattern, how many trailing axes of a kernel are outputs; it is
      read as a matrix then. Without, its last axis is, the one before it the inputs,
      and all before that a window.

  Raises:
    UserError: if a pattern matches no leaf, or leaves a kernel without inputs.
  """
  patterns = {*only, *outputs} - {*KERNELS, *HEADS}
  for pattern in sorted(patterns):
    if not fnmatch.filter(leaves.arrays, pattern):
      known = codec.nearest(pattern, leaves.arrays)
      raise UserError(f"Pattern {pattern!r} matches no parameter.{known}")
  kernels, rest = [], {}
  for name, leaf in leaves.arrays.items():
    shape = _kernel_shape(name, leaf, outputs) if _matches(name, only) else None
    if shape is None:
      rest[name] = tuple(leaf.shape)
    else:
      kernels.append(KernelUse(name, shape))
  return Inventory(tuple(kernels), rest)


def is_small(use: KernelUse) -> bool:
  """Whether a kernel is a first layer's, or a depthwise one's, by its few inputs."""
  return use.shape[-2] < _FEWEST_INPUTS


def _kernel_shape(name: str, leaf: Any, outputs: Mapping[str, int]) -> Shape | None:
  """None for what is no kernel after all: integers, vectors."""
  shape = tuple(leaf.shape)
  if not jnp.issubdtype(leaf.dtype, jnp.floating):
    return None
  if sum(size > 1 for size in shape) < 2:
    return None
  for pattern, trailing in outputs.items():
    if not fnmatch.fnmatchcase(name, pattern) or (pattern in HEADS and len(shape) != 3):
      continue
    if not 0 < trailing < len(shape):
      raise UserError(f"outputs[{pattern!r}]={trailing} leaves {name} no inputs.")
    cut = len(shape) - trailing
    return math.prod(shape[:cut]), math.prod(shape[cut:])
  return shape


def _matches(name: str, patterns: Iterable[str]) -> bool:
  return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def named(inventory: Inventory) -> str:
  """The first few names of a tree, of its kernels if there are any, for a message."""
  names = [use.path for use in inventory.kernels] or list(inventory.rest)
  return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
