"""The network of a multi-branch space with all its branches, of which some are on.

A cell averages the branches whose gates are 1, and its input where that has the same
form (NSE, arXiv 2011.10904):

    y = (r x + sum_i g_i o_i(x)) / (r + sum_i g_i),   r = 1 in residual cells, else 0

Training draws one choice a step, each branch on or off alike whatever a policy would
have, so that all weights are trained as often. What is evaluated is the choice in the
variable collection `arch`. With two choices in the collection `paths`, cells compute
the first one's output and hand a gradient to both shares (`policies.two_paths`): a
policy learns from it, while the weights stay. What it has dropped, in the collection
`policy`, training draws no more. Parameters are named as those of the
plain network, which are a part of these.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from neural_epitome.models import functions
from neural_epitome.models.base import Layers
from neural_epitome.models.block_module import BlockModule, conv_layer, normed_conv
from neural_epitome.models.operation_pools import POOLS
from neural_epitome.spaces.branches import Branches
from neural_epitome.spaces.multi_branch_space import MultiBranchSpace

# What the key of a step is folded with to draw its choice.
_ARCH_STREAM = 977


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Paths:
  """Two choices and what each cell gives of their probabilities.

  Attributes:
    first: gates (cells, operations), 1 for the operations that a cell computes by.
    second: likewise.
    shares: float32 (cells, 2), see `policies.two_paths.shares`.
  """

  first: Any
  second: Any
  shares: Any


class MultiBranchSupernet(nn.Module):
  """Stem, `cell_0` and on with a module a branch, head, classifier.

  Attributes:
    space: the choices.
    classes: number of classes.
    layers: factories.
  """

  space: MultiBranchSpace
  classes: int
  layers: Layers

  @nn.compact
  def __call__(
    self, images: jax.Array, train: bool = False, keys: jax.Array | None = None
  ) -> jax.Array:
    """Images (batch, height, width, channels) -> float32 logits (batch, classes)."""
    space, layers = self.space, self.layers
    frame = space.frame
    before, behind = frame.ends(images.shape[-1], self.classes)
    stem, head, classifier = (
      spec for block in (before, behind) for _, spec in block.convolutions()
    )
    first, second, shares = self._gates(train, keys)
    x = normed_conv(stem, layers, images, train)
    for index, cell in enumerate(space.cells):
      outputs = {}
      for number in np.flatnonzero(space.usable[index]).tolist():
        operation = POOLS[frame.pool][number]
        block = operation.declare(cell.inputs, cell.features, cell.stride)
        branch = BlockModule(block, layers, name=f"cell_{index}_branch_{number}")
        outputs[number] = branch(x, train)
      y = _mean(x if cell.is_residual else None, outputs, first[index])
      if shares is not None:
        other = _mean(x if cell.is_residual else None, outputs, second[index])
        y = combined(y, other, shares[index])
      x = y
    x = functions.pool(normed_conv(head, layers, x, train))
    x = functions.dropout(x, keys, rate=frame.dropout, train=train)
    return conv_layer(classifier, layers)(x).astype(jnp.float32)

  def _gates(self, train: bool, keys: jax.Array | None) -> tuple[Any, Any, Any]:
    """Gates of the first path, of the second and the shares, where there are two."""
    space = self.space
    if self.has_variable("paths", "paths"):
      paths = self.get_variable("paths", "paths")
      return paths.first, paths.second, paths.shares
    if self.has_variable("arch", "arch"):
      return self.get_variable("arch", "arch").gates, None, None
    if not train or self.is_initializing():
      return jnp.asarray(space.largest.gates), None, None
    if keys is None:
      raise ValueError("train=True draws choices, and needs `keys`.")
    key = jax.random.fold_in(keys[0], _ARCH_STREAM)
    active = None
    if self.has_variable("policy", "active"):
      active = space.slots.wide(self.get_variable("policy", "active"))
    return draw_evenly(space, key, active).gates, None, None


def draw_evenly(
  space: MultiBranchSpace, key: jax.Array, active: jax.Array | None = None
) -> Branches:
  """A choice with each operation on or off alike, of those that are allowed.

  Cells that need an operation are drawn again until they have one; a pure function of
  the key, for use inside `jax.jit`.

  Args:
    space: of the choice.
    key: of the draw.
    active: (cells, operations), nonzero where an operation is in use still; of a cell
      that needs one at least one. None is all of the space's.
  """
  usable, must = jnp.asarray(space.usable), jnp.asarray(~space.may_be_empty)
  if active is not None:
    usable &= active.astype(bool)

  def lacking(gates: jax.Array) -> jax.Array:
    return must & ~jnp.any(gates, axis=1)

  def again(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    gates, key = state
    key, own = jax.random.split(key)
    drawn = usable & jax.random.bernoulli(own, 0.5, usable.shape)
    return jnp.where(lacking(gates)[:, None], drawn, gates), key

  key, own = jax.random.split(key)
  first = usable & jax.random.bernoulli(own, 0.5, usable.shape)
  gates, _ = jax.lax.while_loop(lambda s: jnp.any(lacking(s[0])), again, (first, key))
  return Branches(gates.astype(jnp.int32))


def combined(first: jax.Array, second: jax.Array, share: jax.Array) -> jax.Array:
  """A cell's output: the value of `first`, and a gradient for both shares.

  Args:
    first: output by the first set.
    second: output by the second, of the same shape.
    share: float32 (2,), q1 and q2 of this cell.
  """
  stop = jax.lax.stop_gradient
  scaled = (share - stop(share)).astype(first.dtype)
  return first * (1.0 + scaled[0]) + stop(second) * scaled[1]


def _mean(x: jax.Array | None, outputs: dict[int, jax.Array], gates: Any) -> Any:
  """Of the branches that are on, and of `x` where it is one of what is averaged."""
  gates = jnp.asarray(gates).astype(jnp.float32)
  total: Any = 0.0 if x is None else x
  for number, output in outputs.items():
    total = total + gates[number].astype(output.dtype) * output
  count = jnp.sum(gates[np.array(list(outputs), int)]) + float(x is not None)
  return total / count.astype(total.dtype)
