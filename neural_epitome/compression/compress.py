"""`compress`: the parameters of any Flax model, in as many bytes as you say.

    small = ne.compress(params, budget="1.0MB", bits=8)
    logits = model.apply({"params": small.expand(small.compact)}, x)
    grads = jax.grad(lambda compact: loss(small.expand(compact)))(small.compact)
    small.save("model.safetensors")

What is stored is a flat dictionary, and `expand` a pure function of it.
"""

import dataclasses
import glob
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import jax.numpy as jnp
import numpy as np

from neural_epitome.compression import compact_file, trees
from neural_epitome.compression.compressed import Compressed, Tree
from neural_epitome.cost import totals
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome import fitting, rounding
from neural_epitome.epitome.generators import ChannelEpitomeRule, Rule
from neural_epitome.epitome.plan import Plan
from neural_epitome.errors import UserError
from neural_epitome.planning import RatePlanner
from neural_epitome.planning import budget as budgets


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
  importance: Mapping[str, np.ndarray] | None = None,
  quiet: bool = False,
) -> Compressed:
  """Stores a parameter tree in a budget, its values kept as well as they can be.

  Args:
    tree: parameters, or all variables, of a Linen model, or a state of an NNX one.
      Statistics of batch norms in it are stored as they are.
    budget: of everything in the tree: bytes of the file that `save` writes, names and
      plan included ("1.0MB", "300kB", "2MiB"), numbers
      ("1.2M parameters"), or the rate of the compressed kernels alone ("4x").
    bits: of a stored number of a kernel's tensors: 32, or integers of 2 to 8 with a
      factor an output channel.
    rule: the weight generator; channels that share by default.
    allocation: see `RatePlanner`; below 1, small kernels are compressed less.
    fit: `closed` keeps the routing as it starts, and the tensors are the least-squares
      fit; `full` searches the routing too, with a progress bar.
    only: shell patterns of the names that are kernels.
    keep: those of them that stay dense, as kernels of fewer than five inputs do.
    outputs: see `trees.take_inventory`; beside those of attention.
    importance: (inputs,) of kernels by name, what the squared difference of each
      input's weights counts in the fit; `input_importance` measures it on data. Of
      kernels that it does not name, all count alike. Kernels of a `DenseGeneral` must
      be told by `outputs`, but for those of attention.
    quiet: shows no progress.

  Returns:
    What is stored, and `expand` to get the tree back.

  Raises:
    UserError: for a tree without kernels, a pattern that matches nothing, a rule that
      cannot be fitted, an importance that is none of its kernels', or a budget that
      cannot be met, naming the smallest that can.
  """
  rounding.check_bits(bits)
  if fit not in ("closed", "full"):
    raise UserError(f"fit={fit!r} must be 'closed' or 'full'.")
  leaves = trees.take_apart(tree)
  inventory = trees.take_inventory(leaves, only, trees.HEADS | dict(outputs or {}))
  small = (glob.escape(u.path) for u in inventory.kernels if trees.is_small(u))
  rules = RatePlanner(
    rule=rule or ChannelEpitomeRule(),
    allocation=allocation,
    keep=(*keep, *small),
    keep_first=False,
  )
  if not inventory.kernels or not rules.compressible(inventory):
    raise UserError(f"The tree has no kernel to compress: {_told(inventory)}.")
  importances = _importance(importance or {}, inventory)
  rest = {name: leaves.arrays[name] for name in inventory.rest}

  def file_bytes(plan: Plan) -> int:
    return compact_file.file_bytes(plan, rest, shapes=leaves.reshaped(plan))

  planner = budgets.planner(budget, rules, bits)
  if isinstance(planner, budgets.BudgetPlanner):
    plan = planner.fitted(inventory, file_bytes)
  else:
    plan = planner.plan(inventory)
  plan = plan.narrowed(bits)
  kernels = {
    path: np.asarray(leaves.arrays[path], np.float32).reshape(kernel.shape)
    for path, kernel in plan.kernels.items()
  }
  offsets = {
    path: first
    for path, kernel in plan.kernels.items()
    if (first := kernel.generator.first_offsets(kernel.shape))
  }
  if fit == "closed":
    tensors = fitting.fit(plan, kernels, offsets, importance=importances)
  else:
    rounds = _shown(fitting.SEARCH, quiet)
    tensors, offsets = fitting.search(
      plan, kernels, offsets, rounds, importance=importances
    )
  price = totals.price(plan, inventory)
  compressed = Compressed(
    compact={k: jnp.asarray(v) for k, v in tensors.items()} | rest,
    plan=plan,
    offsets=offsets,
    errors={},
    totals=dataclasses.replace(price, stored_bytes=file_bytes(plan)),
    _leaves=leaves,
    _inventory=inventory,
  )
  return dataclasses.replace(compressed, errors=_errors(compressed, kernels))


def _shown(rounds: Iterable[int], quiet: bool) -> Iterable[int]:
  """The rounds of a search, with a progress bar where tqdm is installed."""
  try:
    from tqdm import tqdm
  except ModuleNotFoundError:  # with the core alone it is not
    return rounds
  return tqdm(rounds, "fitting", disable=quiet, leave=False)


def _importance(
  given: Mapping[str, np.ndarray], inventory: Inventory
) -> dict[str, np.ndarray]:
  """By the names of the tree, which may have `params/` before those of the layers."""
  importances = {}
  for use in inventory.kernels:
    name = use.path if use.path in given else use.path.removeprefix("params/")
    if name not in given:
      continue
    value, shape = np.asarray(given[name]), use.shape[-2:-1]
    if value.shape != shape or not np.all(np.isfinite(value) & (value >= 0)):
      raise UserError(
        f"importance[{name!r}] must be {shape[0]} finite numbers of at least 0, one an "
        f"input of the kernel, not of shape {list(value.shape)}; where the kernel has "
        "several axes of inputs or outputs, outputs= says which."
      )
    importances[use.path] = value
  if given and not importances:
    raise UserError(
      f"importance names {next(iter(given))!r} and others, and none of the kernels "
      f"{', '.join(use.path for use in inventory.kernels[:3])}, ..."
    )
  return importances


def _errors(small: Compressed, kernels: Mapping[str, np.ndarray]) -> dict[str, float]:
  tensors = {
    name: np.asarray(value) for name, value in small.plan.rounded(small.compact).items()
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
