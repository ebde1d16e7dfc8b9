"""`Compressed`: a parameter tree stored small, and the ways to use it."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.compression import trees
from neural_epitome.cost import totals
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome import rounding
from neural_epitome.epitome.plan import Plan
from neural_epitome.export import compact
from neural_epitome.report import tables

Tree = Any
Array = jax.Array | np.ndarray


@dataclasses.dataclass(frozen=True)
class Compressed:
  """A parameter tree stored small.

  Attributes:
    compact: what is stored and may be trained, by name: the plan's tensors, and every
      leaf that is no kernel as it was.
    plan: how kernels come out of it.
    offsets: routing maps, in whole cells, by kernel and axis; stored, not trained.
    bits: of a number of the tensors that kernels come from.
    errors: |generated - given| / |given| of every kernel, rounding included.
    totals: parameters and bytes of all that is stored, offsets and factors included.
  """

  compact: dict[str, Array]
  plan: Plan
  offsets: dict[str, dict[str, np.ndarray]]
  bits: int
  errors: dict[str, float]
  totals: totals.Totals
  _leaves: trees.Leaves
  _inventory: Inventory

  def expand(self, compact: Mapping[str, Array]) -> Tree:
    """The tree that `compress` was given, generated; a pure function.

    Below 32 bits, tensors are rounded as they are stored, and gradients pass straight
    through: what is trained is what ships.

    Args:
      compact: as `self.compact`, of any values.

    Returns:
      A tree of the same structure, shapes and dtypes.
    """
    arrays, whole = self.rounded(compact), {}
    for name, leaf in self._leaves.arrays.items():
      kernel = self.plan.kernels.get(name)
      if kernel is None:
        whole[name] = arrays[name]
        continue
      own = {role: arrays[tensor] for role, tensor in kernel.tensors.items()}
      offsets = self.offsets.get(name, {})
      full = kernel.generator.generate(own, offsets, kernel.shape)
      whole[name] = full.reshape(leaf.shape).astype(leaf.dtype)
    return self._leaves.together(whole)

  def rounded(self, compact: Mapping[str, Array]) -> dict[str, Array]:
    """The same, as it is stored: what has no width of its own at `self.bits`."""
    arrays = {name: jnp.asarray(value) for name, value in compact.items()}
    if self.bits < 32:
      for name, width in self.plan.tensor_bits(0).items():
        if not width:
          arrays[name] = rounding.straight_through(arrays[name], self.bits)
    return arrays

  def save(self, path: str | os.PathLike) -> None:
    """Writes a compact file, which `compact_reader` reads with NumPy alone."""
    stored = {name: np.asarray(jax.device_get(a)) for name, a in self.compact.items()}
    shapes = {
      name: list(leaf.shape)
      for name, leaf in self._leaves.arrays.items()
      if name in self.plan.kernels and self.plan.kernels[name].shape != leaf.shape
    }
    compact.write_numbers(path, self.plan, stored, self.offsets, self.bits, {}, shapes)

  def __str__(self) -> str:
    """A line a kernel, with its relative error, and the total."""
    stored, whole = self.totals.stored_params, self.totals.expanded_params
    return (
      tables.compressed_table(self.plan, self._inventory, self.errors)
      + f"\n\n{stored:,} numbers stored in {self.totals.stored_bytes:,} bytes for "
      f"{whole:,} parameters"
    )
