"""Statistics of batch norms, measured anew for kernels as `compress` stored them."""

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.compression import progress, trees
from neural_epitome.compression.compressed import Compressed
from neural_epitome.errors import UserError

Tree = Any
Array = jax.Array

STATISTICS = (
  "batch_stats/*",
  "*running_mean",
  "*running_var",
  "*num_batches_tracked",
)
"""Patterns of the names that Flax and torch give running statistics: they follow what a
network sees, and no gradient."""


def remeasure_statistics(
  small: Compressed,
  train: Callable[[Tree, Any], Tree],
  examples: Any,
  *,
  batch: int = 64,
  statistics: Sequence[str] = STATISTICS,
  quiet: bool = False,
) -> Compressed:
  """Measures the statistics of batch norms anew, for the kernels as they are stored.

  They were those of the kernels before. A training step mixes a batch's statistics into
  the running ones, `m old + (1 - m) new`; from steps with `old` of 0 and of 1 follow m
  and the batch's own, of which the mean over all batches is taken.

  Args:
    small: from `compress`, of variables that have statistics in them.
    train: a pure function of a tree and inputs, that answers the tree with the
      statistics after a training step. Of a Linen model:
      `lambda tree, x: tree | model.apply(tree, x, train=True,
      mutable=["batch_stats"])[1]`.
    examples: as of `distill`.
    batch: examples of a step; what is left of a last one is left out.
    statistics: shell patterns of their names.
    quiet: shows no progress.

  Returns:
    The same with new statistics, as many bytes.

  Raises:
    UserError: if there are no statistics, fewer examples than a batch, or statistics
      that a training step does not move, or that are not finite.
  """
  example_count(examples, batch)
  moving = {
    name: jnp.asarray(value)
    for name, value in small.compact.items()
    if is_named(name, statistics) and is_float(value)
  }
  if not moving:
    raise UserError(f"no stored array is named like statistics={list(statistics)}.")
  rest = {name: value for name, value in small.compact.items() if name not in moving}

  @jax.jit
  def after(old: Mapping[str, Array], inputs: Any) -> dict[str, Array]:
    tree = train(small.expand({**rest, **old}), inputs)
    leaves = trees.take_apart(tree).arrays
    return {name: leaves[name] for name in moving}

  means = measured(after, moving, examples, batch, quiet)
  for name, value in means.items():
    if not bool(jnp.all(jnp.isfinite(value))):
      raise UserError(f"the statistics {name!r} are not finite on these examples.")
  return small.with_numbers({**rest, **means})


def measured(
  after: Callable[[Tree, Any], Tree],
  statistics: Tree,
  examples: Any,
  batch: int,
  quiet: bool = False,
) -> Tree:
  """The mean over batches of the statistics that a training step mixes in.

  Args:
    after: the running statistics after a step, of those before and of inputs; best
      compiled.
    statistics: a tree of their shapes and dtypes.
    examples: as of `distill`.
    batch: examples of a step; what is left of a last one is left out.
    quiet: shows no progress.

  Raises:
    UserError: for statistics that do not move.
  """
  count = example_count(examples, batch)
  zeros = jax.tree.map(jnp.zeros_like, statistics)
  sums, kept = zeros, None
  begins = range(0, count - batch + 1, batch)
  for begin in progress.shown(begins, quiet, "measuring statistics"):
    inputs = jax.tree.map(lambda leaf, b=begin: leaf[b : b + batch], examples)
    share = after(zeros, inputs)
    if kept is None:
      one = after(jax.tree.map(jnp.ones_like, statistics), inputs)
      kept = jax.tree.map(lambda a, b: jnp.mean(a - b), one, share)
      for path, value in jax.tree_util.tree_leaves_with_path(kept):
        if value >= 1:
          name = jax.tree_util.keystr(path, simple=True, separator="/")
          raise UserError(f"train= does not move the statistics {name!r}.")
    sums = jax.tree.map(lambda s, new, m: s + new / (1 - m), sums, share, kept)
  return jax.tree.map(lambda total: total / len(begins), sums)


def example_count(examples: Any, batch: int) -> int:
  """Examples along the first axis of every array.

  Raises:
    UserError: if arrays have more or fewer than others, or a batch more than there are.
  """
  shapes = [np.shape(leaf) for leaf in jax.tree.leaves(examples)]
  counts = {shape[0] if shape else 0 for shape in shapes}
  if len(counts) != 1:
    raise UserError(
      f"examples must be arrays of as many rows each, not of shapes {shapes}."
    )
  count = counts.pop()
  if not 1 <= batch <= count:
    raise UserError(f"batch={batch} must be from 1 to {count}, the examples there are.")
  return count


def is_named(name: str, patterns: Sequence[str]) -> bool:
  """Whether one of the shell patterns is that of the name."""
  return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def is_float(value: Any) -> bool:
  """Whether a gradient can move it."""
  return bool(jnp.issubdtype(value.dtype, jnp.floating))
