"""`compress`: the parameters of any Flax model, in as many bytes as you say.

    small = ne.compress(params, budget="1.0MB", bits=8)
    logits = model.apply({"params": small.expand(small.compact)}, x)
    grads = jax.grad(lambda compact: loss(small.expand(compact)))(small.compact)
    small.save("model.safetensors")

What is stored is a flat dictionary, and `expand` a pure function of it.
"""

import dataclasses
import glob
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from neural_epitome.compression import trees
from neural_epitome.cost import totals
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome import fitting, rounding
from neural_epitome.epitome.generators import ChannelEpitomeRule, Rule
from neural_epitome.epitome.plan import Plan
from neural_epitome.errors import UserError
from neural_epitome.export import compact
from neural_epitome.planning import UniformPlanner
from neural_epitome.planning import budget as budgets
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
    arrays, whole = _rounded(compact, self.plan, self.bits), {}
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


def compress(
  tree: Tree,
  budget: str,
  *,
  bits: int = 32,
  rule: Rule | None = None,
  allocation: float = 1.0,
  fit: Literal["closed", "full"] = "closed",
  only: Sequence[str] = trees.KERNELS,
  keep: Sequence[str] = (),
  outputs: Mapping[str, int] | None = None,
  quiet: bool = False,
) -> Compressed:
  """Stores a parameter tree in a budget, its values kept as well as they can be.

  Args:
    tree: parameters, or all variables, of a Linen model, or a state of an NNX one.
      Statistics of batch norms in it are stored as they are.
    budget: of everything in the tree: bytes ("1.0MB", "300kB", "2MiB"), numbers
      ("1.2M parameters"), or the rate of the compressed kernels alone ("4x").
    bits: of a stored number of a kernel's tensors: 32, or integers of 2 to 8 with a
      factor an output channel.
    rule: the weight generator; channels that share by default.
    allocation: see `UniformPlanner`; below 1, small kernels are compressed less.
    fit: `closed` keeps the routing as it starts, and the tensors are the least-squares
      fit; `full` searches the routing too, with a progress bar.
    only: shell patterns of the names that are kernels.
    keep: those of them that stay dense, as kernels of fewer than five inputs do.
    outputs: see `trees.take_inventory`; beside those of attention.
    quiet: shows no progress.

  Returns:
    What is stored, and `expand` to get the tree back.

  Raises:
    UserError: for a tree without kernels, a pattern that matches nothing, a rule that
      cannot be fitted, or a budget that cannot be met, naming the smallest that can.
  """
  rounding.check_bits(bits)
  if fit not in ("closed", "full"):
    raise UserError(f"fit={fit!r} must be 'closed' or 'full'.")
  leaves = trees.take_apart(tree)
  inventory = trees.take_inventory(leaves, only, trees.HEADS | dict(outputs or {}))
  small = (glob.escape(u.path) for u in inventory.kernels if trees.is_small(u))
  rules = UniformPlanner(
    rule=rule or ChannelEpitomeRule(),
    allocation=allocation,
    keep=(*keep, *small),
    keep_first=False,
  )
  if not inventory.kernels or not rules.compressible(inventory):
    raise UserError(f"The tree has no kernel to compress: {_told(inventory)}.")
  plan = budgets.planner(budget, rules, bits).plan(inventory)
  kernels = {
    path: np.asarray(leaves.arrays[path], np.float32).reshape(kernel.shape)
    for path, kernel in plan.kernels.items()
  }
  offsets = {
    path: {axis: np.zeros(shape, np.float32) for axis, shape in shapes.items()}
    for path, kernel in plan.kernels.items()
    if (shapes := kernel.generator.offsets(kernel.shape))
  }
  if fit == "closed":
    tensors = fitting.fit(plan, kernels, offsets)
  else:
    rounds = tqdm(fitting.SEARCH, "fitting", disable=quiet, leave=False)
    tensors, offsets = fitting.search(plan, kernels, offsets, rounds)
  rest = {name: leaves.arrays[name] for name in inventory.rest}
  found = Compressed(
    compact={k: jnp.asarray(v) for k, v in tensors.items()} | rest,
    plan=plan,
    offsets=offsets,
    bits=bits,
    errors={},
    totals=totals.price(plan, inventory, bits=bits),
    _leaves=leaves,
    _inventory=inventory,
  )
  return dataclasses.replace(found, errors=_errors(found, kernels))


def _rounded(compact: Mapping[str, Array], plan: Plan, bits: int) -> dict[str, Array]:
  """The same, tensors whose generator has no width of its own at `bits`."""
  arrays = {name: jnp.asarray(value) for name, value in compact.items()}
  if bits < 32:
    for name, width in plan.tensor_bits(0).items():
      if not width:
        arrays[name] = rounding.straight_through(arrays[name], bits)
  return arrays


def _errors(small: Compressed, kernels: Mapping[str, np.ndarray]) -> dict[str, float]:
  tensors = {
    name: np.asarray(value)
    for name, value in _rounded(small.compact, small.plan, small.bits).items()
  }
  return {
    path: fitting.relative_error(
      kernel, fitting.generate(small.plan, tensors, small.offsets, path)
    )
    for path, kernel in kernels.items()
  }


def _told(inventory: Inventory) -> str:
  names = [use.path for use in inventory.kernels] or list(inventory.rest)
  return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
