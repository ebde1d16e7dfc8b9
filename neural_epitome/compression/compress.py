"""`compress`: the parameters of any Flax model, in as many bytes as you say.

    small = ne.compress(params, "1.0MB")
    logits = model.apply({"params": small.expand(small.compact)}, x)
    grads = jax.grad(lambda compact: loss(small.expand(compact)))(small.compact)
    small.save("model.safetensors")

What is stored is a flat dictionary, and `expand` a pure function of it.
"""

import dataclasses
import glob
from collections.abc import Mapping, Sequence
from typing import Literal

import jax.numpy as jnp
import numpy as np

from neural_epitome.compression import (
  accuracy,
  best,
  choices,
  compact_file,
  importance_of_inputs,
  progress,
  trees,
)
from neural_epitome.compression.compressed import Compressed, Tree
from neural_epitome.cost import totals
from neural_epitome.epitome import fitting, rounding
from neural_epitome.epitome.generators import Rule
from neural_epitome.epitome.plan import Plan
from neural_epitome.errors import UserError
from neural_epitome.planning import RatePlanner
from neural_epitome.planning import budget as budgets


def compress(
  tree: Tree,
  budget: str | None = None,
  *,
  bits: int = 32,
  rule: Rule | choices.Ways = "best",
  allocation: float = 1.0,
  fit: Literal["closed", "full"] = "closed",
  only: Sequence[str] = trees.KERNELS,
  keep: Sequence[str] = (),
  outputs: Mapping[str, int] | None = None,
  importance: Mapping[str, np.ndarray] | None = None,
  moments: Mapping[str, np.ndarray] | None = None,
  evaluate: accuracy.Evaluate | None = None,
  max_drop: float | None = None,
  quiet: bool = False,
) -> Compressed:
  """Stores a parameter tree in a budget, its values kept as well as they can be.

  Args:
    tree: parameters, or all variables, of a Linen model, or a state of an NNX one.
      Statistics of batch norms in it are stored as they are.
    budget: of everything in the tree: bytes of the file that `save` writes, names and
      plan included ("1.0MB", "300kB", "2MiB"), or how many times smaller it is than
      the tree ("10x"). With a rule also numbers ("1.2M parameters"), and "4x" is the
      rate of the compressed kernels alone.
    bits: with a rule: of a stored number of a kernel's tensors: 32, 16 (float16), or
      integers of 1 to 8 with a factor an output channel.
    rule: `best`, by default, tries the dense kernel in few bits, palettes, low ranks
      and windows on each kernel, and takes what has the least error in all (see
      `choices`); the rest is stored in float16 where that keeps three digits.
      `collaborative` takes input channels and singular values away together, beside
      integers, as Collaborative Compression does (see `collaborative_choices`). Or the
      weight generator of all kernels, as `ChannelEpitomeRule()`: only such kernels may
      run folded.
    allocation: with a rule, see `RatePlanner`; below 1, small kernels are compressed
      less.
    fit: with a rule: `closed` keeps the routing as it starts, and the tensors are the
      least-squares fit; `full` searches the routing too, with a progress bar.
    only: shell patterns of the names that are kernels.
    keep: those of them that stay dense, as with a rule kernels of fewer than five
      inputs do.
    outputs: see `trees.take_inventory`; beside those of attention.
    importance: with a rule: (inputs,) of kernels by name, what the squared difference
      of each input's weights counts in the fit; `input_importance` measures it on data.
      Of kernels that it does not name, all count alike. Kernels of a `DenseGeneral`
      must be told by `outputs`, but for those of attention.
    moments: of the best rule alone: second moments of what layers read, by the names of
      their kernels, as `input_moments` measures them on examples. Errors are then those
      of the layers' outputs, and each window makes up for what those before it have
      lost (`epitome.error_feedback`): far less is lost where few bits are left. Of
      kernels that it does not name, inputs are taken for smooth.
    evaluate: of the best rule alone: the score of a tree such as this one, higher is
      better. Each kernel's share of the budget then follows from what its error costs,
      which takes one call a kernel, unless that does worse than even shares.
    max_drop: in place of a budget: by how much the score of `evaluate` may become less
      than that of the tree. The smallest file is found in which it does not, in 9 to
      23 trials.
    quiet: shows no progress.

  Returns:
    What is stored, and `expand` to get the tree back.

  Raises:
    UserError: for a tree without kernels or with values that are not finite, a pattern
      that matches nothing, a rule that cannot be fitted, importances or moments that
      are none of its kernels', or a budget that cannot be met, naming the smallest that
      can.
  """
  if not isinstance(rule, Rule):
    choices.check(rule)
    _refuse_of_rules(
      bits=bits != 32,
      allocation=allocation != 1.0,
      fit=fit != "closed",
      importance=importance is not None,
    )
    accuracy.check_aim(budget, max_drop, evaluate)
    choosing = best.prepare(
      tree,
      only=only,
      keep=keep,
      outputs=outputs,
      quiet=quiet,
      moments=moments,
      ways=rule,
    )
    weights = None
    if evaluate is not None:
      weights = accuracy.sensitivities(choosing, evaluate, quiet)
    if budget is not None:
      if evaluate is None or weights is None:
        return choosing.times_smaller(budget)
      return accuracy.best_of(
        lambda some: choosing.times_smaller(budget, sensitivity=some),
        weights,
        lambda small: evaluate(small.expand(small.compact)),
      )
    assert evaluate is not None  # see `check_aim`
    assert max_drop is not None
    score, before = evaluate, evaluate(choosing.tree({}))
    return accuracy.smallest(
      choosing.within,
      weights,
      lambda small: before - score(small.expand(small.compact)),
      max_drop,
      choosing.whole,
    )
  if evaluate is not None or max_drop is not None or moments is not None:
    raise UserError("evaluate=, max_drop= and moments= are of rule='best'.")
  if budget is None:
    raise UserError("compress needs a budget: '300kB', '1.2M parameters', '4x'.")
  rounding.check_bits(bits)
  if fit not in ("closed", "full"):
    raise UserError(f"fit={fit!r} must be 'closed' or 'full'.")
  leaves = trees.take_apart(tree)
  trees.check_finite(leaves)
  inventory = trees.take_inventory(leaves, only, trees.HEADS | dict(outputs or {}))
  small = (glob.escape(u.path) for u in inventory.kernels if trees.is_small(u))
  rules = RatePlanner(
    rule=rule,
    allocation=allocation,
    keep=(*keep, *small),
    keep_first=False,
  )
  if not inventory.kernels or not rules.compressible(inventory):
    raise UserError(f"The tree has no kernel to compress: {trees.named(inventory)}.")
  importances = importance_of_inputs.by_kernel(importance or {}, inventory)
  rest = {name: leaves.arrays[name] for name in inventory.rest}

  def file_bytes(plan: Plan) -> int:
    plan = plan.apart_from(rest)
    return compact_file.file_bytes(plan, rest, shapes=leaves.reshaped(plan))

  planner = budgets.planner(budget, rules, bits)
  if isinstance(planner, budgets.BudgetPlanner):
    plan = planner.fitted(inventory, file_bytes)
  else:
    plan = planner.plan(inventory)
  plan = plan.narrowed(bits).apart_from(rest)
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
    rounds = progress.shown(fitting.SEARCH, quiet, "fitting")
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


def _refuse_of_rules(**given: bool) -> None:
  for name, is_given in given.items():
    if is_given:
      raise UserError(
        f"{name}= is of a rule, as rule=ne.ChannelEpitomeRule(); rule='best', the "
        "default, finds the bits of each kernel itself."
      )


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
