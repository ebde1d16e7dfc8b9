"""`Compressed`: a parameter tree stored small, and the ways to use it."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.compression import compact_file, entropy_coding, trees
from neural_epitome.compression.folding import Generated, folded
from neural_epitome.cost import plan_table, totals
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome import rounding
from neural_epitome.epitome.execution import Execution
from neural_epitome.epitome.generators import WindowedEpitome
from neural_epitome.epitome.plan import Plan

Tree = Any
Array = jax.Array | np.ndarray


@dataclasses.dataclass(frozen=True)
class Compressed:
  """A parameter tree stored small.

  Parameters that are no kernel may be stored in float16; they are rounded so wherever
  they are read.

  Attributes:
    compact: what is stored and may be trained, by name: the plan's tensors, and every
      leaf that is no kernel as it was.
    plan: how kernels come out of it, and in how many bits each tensor is stored.
    offsets: routing maps, in whole cells, by kernel and axis; stored, not trained.
    errors: |generated - given| / |given| of every kernel, rounding included.
    totals: parameters and bytes of all that is stored, offsets and factors included;
      bytes are those of the file that `save` writes, its names and plan too, or of
      that of another format that the budget was of.
  """

  compact: dict[str, Array]
  plan: Plan
  offsets: dict[str, dict[str, np.ndarray]]
  errors: dict[str, float]
  totals: totals.Totals
  _leaves: trees.Leaves
  _inventory: Inventory
  _halves: frozenset[str] = frozenset()
  _network: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def expand(
    self, compact: Mapping[str, Array], added: Mapping[str, Array] | None = None
  ) -> Tree:
    """The tree that `compress` was given, generated; a pure function.

    Tensors of fewer than 32 bits are rounded as they are stored, and gradients pass
    straight through: what is trained is what ships.

    Args:
      compact: as `self.compact`, of any values.
      added: to generated kernels, by path, of `self.plan`'s shapes.

    Returns:
      A tree of the same structure, shapes and dtypes.
    """
    arrays = self._rounded(compact)
    return self._together(arrays, self._generated(arrays, added))

  @contextlib.contextmanager
  def folding(
    self,
    compact: Mapping[str, Array],
    execution: Execution | Mapping[str, Execution] = "fold",
  ) -> Iterator[Tree]:
    """`expand` for a block whose Linen layers do without kernels where they can.

        @jax.jit
        def logits(compact, x):
          with small.folding(compact) as params:
            return model.apply({"params": params}, x)

    `nn.Conv`, `nn.Dense` and `nn.DenseGeneral` compute the same from what is stored,
    and `jax.jit` around the block leaves out the kernels that nothing else reads. Other
    layers, and those inside `jax.jit`, `nn.scan` and the like in the block, read the
    kernel; `folds` tells which.

    Args:
      compact: as `self.compact`, of any values.
      execution: as of `GeneratedLayer`, by the kernel's path in `self.plan`.

    Yields:
      A tree of the same structure, shapes and dtypes.

    Raises:
      UserError: if a path is no kernel's; at the end, if no layer was called with a
        kernel of this tree.
    """
    with self._folding(compact, execution) as (tree, _):
      yield tree

  def folds(
    self,
    run: Callable[[Tree], Any],
    execution: Execution | Mapping[str, Execution] = "fold",
  ) -> dict[str, str]:
    """What `folding` does with every compressed kernel; nothing is computed.

    Args:
      run: calls the model with the tree that it is given.
      execution: as of `folding`.

    Returns:
      By path, `folded`, or `built: ` and why; both where two layers share a kernel.
    """
    outcomes: dict[str, str] = {}

    def trace(compact: Mapping[str, Array]) -> None:
      with self._folding(compact, execution) as (tree, outcomes_of_trace):
        run(tree)
      outcomes.update(outcomes_of_trace)

    jax.eval_shape(trace, self.compact)
    return outcomes

  @contextlib.contextmanager
  def _folding(
    self,
    compact: Mapping[str, Array],
    execution: Execution | Mapping[str, Execution],
  ) -> Iterator[tuple[Tree, dict[str, str]]]:
    arrays = self._rounded(compact)
    kernels = self._generated(arrays)
    with folded(kernels, execution) as outcomes:
      yield self._together(arrays, kernels), outcomes

  def _rounded(self, compact: Mapping[str, Array]) -> dict[str, Any]:
    arrays = {name: jnp.asarray(value) for name, value in compact.items()}
    halves = dict.fromkeys(self._halves, 16)
    return self.plan.rounded(rounding.rounded(arrays, halves))

  def _generated(
    self, arrays: Mapping[str, Array], added: Mapping[str, Array] | None = None
  ) -> dict[str, Generated]:
    generated, added = {}, added or {}
    for path, kernel in self.plan.kernels.items():
      tensors = {role: arrays[name] for role, name in kernel.tensors.items()}
      offsets = self.offsets.get(path, {})
      full = kernel.generator.generate(tensors, offsets, kernel.shape)
      full = full + added[path] if path in added else full
      leaf = self._leaves.arrays[path]
      full = full.reshape(leaf.shape).astype(leaf.dtype)
      generated[path] = Generated(path, full, kernel, tensors, offsets)
    return generated

  def _together(
    self, arrays: Mapping[str, Array], kernels: Mapping[str, Generated]
  ) -> Tree:
    return self._leaves.together(
      {
        name: kernels[name].value if name in kernels else arrays[name]
        for name in self._leaves.arrays
      }
    )

  def save(self, path: str | os.PathLike) -> None:
    """Writes a compact file: `load_compressed` reads it, and `compact_reader` too.

    The latter needs NumPy alone.
    """
    stored = {name: np.asarray(jax.device_get(a)) for name, a in self.compact.items()}
    shapes = self._leaves.reshaped(self.plan)
    for name in self._halves:
      stored[name] = stored[name].astype(np.float16)
    compact_file.write_numbers(
      path, self.plan, stored, self.offsets, self._network, shapes
    )

  def with_numbers(self, compact: Mapping[str, Array]) -> "Compressed":
    """The same with other numbers, such as trained ones; `errors` are unknown then.

    Args:
      compact: as `self.compact`, of any values.
    """
    ordered = {name: compact[name] for name in self.compact}
    return dataclasses.replace(self, compact=ordered, errors={})

  def at_starts(self, starts: Mapping[str, Array]) -> "Compressed":
    """The same with windows that start elsewhere, for `expand`; a pure function.

    Args:
      starts: int32, by path, of kernels whose generator has them.
    """
    offsets = {path: {"start": values} for path, values in starts.items()}
    return dataclasses.replace(self, offsets={**self.offsets, **offsets}, errors={})

  def with_starts(self, starts: Mapping[str, np.ndarray]) -> "Compressed":
    """`at_starts`, with the bytes that the file has then.

    Args:
      starts: whole numbers, by path, of kernels whose generator has them.
    """
    kernels = dict(self.plan.kernels)
    for path, values in starts.items():
      generator = kernels[path].generator
      if isinstance(generator, WindowedEpitome) and generator.coded_bytes is not None:
        nbytes = len(entropy_coding.encode(values, generator.length, generator.context))
        generator = dataclasses.replace(generator, coded_bytes=nbytes)
        kernels[path] = dataclasses.replace(kernels[path], generator=generator)
    if kernels == self.plan.kernels:  # packed starts all take the same
      return self.at_starts(starts)
    plan = dataclasses.replace(self.plan, kernels=kernels)
    rest = {
      name: np.asarray(self.compact[name], np.float16 if name in self._halves else None)
      for name in self._inventory.rest
    }
    shapes = self._leaves.reshaped(plan)
    nbytes = compact_file.file_bytes(plan, rest, self._network, shapes)
    totals = dataclasses.replace(self.totals, stored_bytes=nbytes)
    return dataclasses.replace(self.at_starts(starts), plan=plan, totals=totals)

  def __str__(self) -> str:
    """A line a kernel, with its relative error, and the total."""
    stored, whole = self.totals.stored_params, self.totals.expanded_params
    return (
      plan_table.plan_table(self.plan, self._inventory, self.errors or None)
      + f"\n\n{stored:,} numbers stored in {self.totals.stored_bytes:,} bytes for "
      f"{whole:,} parameters"
    )
