"""A tree stored in the best of all known ways, in one budget after another."""

import dataclasses
import fnmatch
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from neural_epitome.compression import (
  choices,
  compact_file,
  half_precision,
  importance_of_inputs,
  measured,
  progress,
  trees,
)
from neural_epitome.compression.choice import Choice, Stored
from neural_epitome.compression.compressed import Compressed, Tree
from neural_epitome.compression.storage import COMPACT, Storage
from neural_epitome.cost import totals
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome.error_feedback import Inputs
from neural_epitome.epitome.plan import Plan
from neural_epitome.errors import UserError
from neural_epitome.planning import budget as budgets


@dataclasses.dataclass(frozen=True)
class Choosing:
  """A tree whose kernels were compared in all ways to store them; see `prepare`.

  Attributes:
    tables: of every kernel, the choices that may be the best.
    whole: bytes of the tree as it is.
    inputs: what kernels read, by path, of those of which it is known.
  """

  tables: Mapping[str, list[Choice]]
  whole: int
  _leaves: trees.Leaves
  _inventory: Inventory
  _beside: Mapping[str, Any]
  _storage: Storage = COMPACT
  _nbytes: Callable[[Compressed], int] | None = None
  inputs: Mapping[str, Inputs] = dataclasses.field(default_factory=dict)

  def within(
    self, budget: int, sensitivity: Mapping[str, float] | None = None
  ) -> Compressed:
    """The tree in a file of so many bytes.

    Args:
      budget: bytes of the file that `Compressed.save` writes, or of that whose
        `storage` and `nbytes` were given to `prepare`.
      sensitivity: what a kernel's error counts, by its name; 1 by default.

    Raises:
      UserError: if the budget cannot be met, naming the smallest file.
    """
    leaves, inventory = self._leaves, self._inventory
    kernels = _kernels(leaves, inventory)
    rest = {name: leaves.arrays[name] for name in inventory.rest}
    halves = half_precision.halved(rest)
    stored_rest = rest | {name: np.asarray(rest[name], np.float16) for name in halves}

    def file_bytes(plan: Plan, stored: Mapping[str, Stored]) -> int:
      if self._nbytes is not None:
        return self._nbytes(self._together(plan, stored, 0, halves))
      shapes = leaves.reshaped(plan)
      return compact_file.file_bytes(plan, stored_rest, self._beside, shapes)

    plan, stored, nbytes = measured.fit(
      *(kernels, inventory, self.tables, budget, file_bytes),
      *(sensitivity, self._storage, self.inputs),
    )
    return self._together(plan, stored, nbytes, halves)

  def _together(
    self,
    plan: Plan,
    stored: Mapping[str, Stored],
    nbytes: int,
    halves: frozenset[str],
  ) -> Compressed:
    tensors, offsets = {}, {}
    for path, one in stored.items():
      names = plan.kernels[path].tensors
      tensors |= {
        names[role]: jnp.asarray(value) for role, value in one.tensors.items()
      }
      if one.offsets:
        offsets[path] = dict(one.offsets)
    rest = {name: self._leaves.arrays[name] for name in self._inventory.rest}
    price = totals.price(plan, self._inventory)
    return Compressed(
      compact=tensors | {name: jnp.asarray(array) for name, array in rest.items()},
      plan=plan,
      offsets=offsets,
      errors={path: math.sqrt(one.choice.error) for path, one in stored.items()},
      totals=dataclasses.replace(price, stored_bytes=nbytes),
      _leaves=self._leaves,
      _inventory=self._inventory,
      _halves=halves,
      _network=self._beside,
    )

  def tree(self, replaced: Mapping[str, np.ndarray]) -> Tree:
    """The tree as it was given, but for the kernels of these names."""
    arrays = dict(self._leaves.arrays)
    for path, kernel in replaced.items():
      leaf = arrays[path]
      arrays[path] = jnp.asarray(kernel).reshape(leaf.shape).astype(leaf.dtype)
    return self._leaves.together(arrays)

  def kernel(self, path: str) -> np.ndarray:
    """A kernel in full, float32 (*window, Cin, Cout)."""
    shape = next(use.shape for use in self._inventory.kernels if use.path == path)
    return np.asarray(self._leaves.arrays[path], np.float32).reshape(shape)

  def times_smaller(
    self,
    text: str,
    whole: int | None = None,
    sensitivity: Mapping[str, float] | None = None,
  ) -> Compressed:
    """`within` a budget in words: bytes, or how many times smaller than `whole`."""
    return self.within(budgets.file_bytes(text, whole or self.whole), sensitivity)


def prepare(
  tree: Tree,
  *,
  only: Sequence[str] = trees.KERNELS,
  keep: Sequence[str] = (),
  outputs: Mapping[str, int] | None = None,
  beside: Mapping[str, Any] | None = None,
  quiet: bool = False,
  storage: Storage = COMPACT,
  nbytes: Callable[[Compressed], int] | None = None,
  moments: Mapping[str, np.ndarray] | None = None,
  ways: choices.Ways = "best",
) -> Choosing:
  """Compares all ways to store every kernel of a tree, which takes its time.

  Args:
    tree: as of `compress`.
    only: as of `compress`.
    keep: shell patterns of the kernels that are stored as what is no kernel.
    outputs: as of `compress`.
    beside: what the file says beside the numbers, as JSON-ready data.
    quiet: shows no progress.
    storage: what the file can do that budgets are of.
    nbytes: of that file; of the compact file by default.
    moments: as of `compress`.
    ways: to store a kernel, as `rule` of `compress`.

  Raises:
    UserError: for a tree without kernels, a pattern that matches nothing, values that
      are not finite, moments that are none of its kernels', or ways that are not known.
  """
  choices.check(ways)
  leaves = trees.take_apart(tree)
  trees.check_finite(leaves)
  inventory = trees.take_inventory(leaves, only, trees.HEADS | dict(outputs or {}))
  kept = {name for pattern in keep for name in fnmatch.filter(leaves.arrays, pattern)}
  inventory = Inventory(
    tuple(use for use in inventory.kernels if use.path not in kept),
    {
      name: tuple(leaf.shape)
      for name, leaf in leaves.arrays.items()
      if name in inventory.rest or name in kept
    },
  )
  if not inventory.kernels:
    raise UserError(f"The tree has no kernel to compress: {trees.named(inventory)}.")
  kernels = _kernels(leaves, inventory)
  inputs = importance_of_inputs.moments_by_kernel(moments or {}, inventory)
  tables = measured.compare(
    *(kernels, lambda paths: progress.shown(paths, quiet, "comparing")),
    *(storage, inputs, ways),
  )
  whole = sum(np.asarray(leaf).nbytes for leaf in leaves.arrays.values())
  beside = beside or {}
  return Choosing(tables, whole, leaves, inventory, beside, storage, nbytes, inputs)


def _kernels(leaves: trees.Leaves, inventory: Inventory) -> dict[str, np.ndarray]:
  return {
    use.path: np.asarray(leaves.arrays[use.path], np.float32).reshape(use.shape)
    for use in inventory.kernels
  }
