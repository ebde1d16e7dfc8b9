"""One step of the gates of a multi-branch supernet, its weights held still.

The A-step of NSE (Ci et al., arXiv 2011.10904; constants are those of the authors'
code): two different sets of branches are drawn in every cell, the loss on images that
the weights do not train on reaches the gates through their shares, and a squared
penalty holds the price at a target. `step` is a pure function, to be called inside the
jitted step of the weights or in one of its own; its state is a pytree, saved with
theirs.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from neural_epitome.domains import Amount, Positive
from neural_epitome.errors import UserError
from neural_epitome.spaces import multi_branch_costs
from neural_epitome.spaces.multi_branch_space import MultiBranchSpace
from neural_epitome.spaces.multi_branch_supernet import Paths
from neural_epitome.strategies import nse_rules
from neural_epitome.strategies.policies import two_paths
from neural_epitome.training import losses

# All sets of a cell's operations are listed.
_MOST = 10
_MILLION = 1e6


@dataclasses.dataclass(frozen=True)
class GateOptions:
  """How gates are trained.

  Attributes:
    learning_rate: of Adam without momentum.
    target: price that is aimed at, in millions of multiply-adds.
    weight: of the squared distance from it, beside the loss in nats.
  """

  learning_rate: Positive = 0.005
  target: Positive = 300.0
  weight: Amount = 1e-5

  def optimizer(self) -> optax.GradientTransformation:
    """The rule of the gates."""
    return optax.adam(self.learning_rate, b1=0.0, b2=0.999)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class GateState:
  """Gates that learn, K to a cell: operations in the order of their numbers.

  Attributes:
    alpha: float32 (cells, K).
    active: bool (cells, K), operations that are in use.
    moments: of the optimiser.
  """

  alpha: jax.Array
  active: jax.Array
  moments: Any


class GateSlots:
  """Which operation each gate of a state is of, and what sets of them cost.

  Attributes:
    numbers: (cells, K) number of the operation of each gate; 0 where there is none.
    exists: bool (cells, K).
    may_be_empty: bool (cells,).
  """

  def __init__(self, space: MultiBranchSpace, channels: int, classes: int):
    """Prices every set of every cell.

    Args:
      space: its usable operations have gates.
      channels: of the images.
      classes: number of classes.

    Raises:
      UserError: if a cell has more operations than can be listed in sets.
    """
    own = [np.flatnonzero(row) for row in space.usable]
    count = max(map(len, own))
    if count > _MOST:
      raise UserError(
        f"A cell has {count} operations in use, and gates learn of {_MOST} at most: "
        "restrict the space to a part."
      )
    self.may_be_empty, self._shape = space.may_be_empty, space.usable.shape
    self.exists = np.arange(count) < np.array([[len(row)] for row in own])
    self.numbers = np.zeros(self.exists.shape, int)
    self.numbers[self.exists] = np.concatenate(own)
    self._sets = two_paths.subsets(count)
    madds = np.take_along_axis(space.branch_costs[0], self.numbers, axis=1)
    self._costs = (madds * self.exists) @ self._sets.T.astype(float) / _MILLION
    ends = multi_branch_costs.of_ends(space.frame, space.image_size, channels, classes)
    self._ends = ends[0] / _MILLION

  def start(self, options: GateOptions) -> GateState:
    """All operations in use, as likely on as off."""
    alpha = jnp.zeros(self.exists.shape, jnp.float32)
    moments = options.optimizer().init(alpha)
    return GateState(alpha, jnp.asarray(self.exists), moments)

  def log_probabilities(self, alpha: jax.Array, active: jax.Array) -> jax.Array:
    """Of every set of every cell; see `two_paths.log_probabilities`."""
    return two_paths.log_probabilities(alpha, active, jnp.asarray(self.may_be_empty))

  def wide(self, sets: jax.Array) -> jax.Array:
    """The network's gates, int32 (cells, operations), of indices of sets (cells,)."""
    on = jnp.asarray(self._sets, jnp.int32)[sets]
    cells = np.arange(len(self.numbers))[:, None]
    on = on * jnp.asarray(self.exists, jnp.int32)
    return jnp.zeros(self._shape, jnp.int32).at[cells, self.numbers].add(on)

  def price(self, shares: jax.Array, sets: jax.Array) -> jax.Array:
    """Expected millions of multiply-adds of two sets (cells, 2) with these shares."""
    costs = jnp.take_along_axis(jnp.asarray(self._costs, jnp.float32), sets, axis=1)
    return two_paths.expected_cost(shares, costs) + self._ends


def step(
  model: nn.Module,
  slots: GateSlots,
  options: GateOptions,
  state: GateState,
  variables: Any,
  batch: dict[str, jax.Array],
  key: jax.Array,
  kept: jax.Array | None = None,
) -> tuple[GateState, dict[str, jax.Array]]:
  """One update of the gates; a pure function.

  Batch norms use the batch's statistics, which are not kept.

  Args:
    model: a `MultiBranchSupernet`.
    slots: of its space.
    options: how they learn.
    state: before.
    variables: `params` and `batch_stats` of the model.
    batch: `image` float32 (B, H, W, C) and `label` int32 (B,).
    key: of both draws.
    kept: bool (cells, K), operations that are never dropped; None is none.

  Returns:
    The state after it; loss (nats, of the first sets), price (expected millions of
    multiply-adds) and active (operations in use).
  """

  def loss_of(alpha: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
    logs = slots.log_probabilities(alpha, state.active)
    first, second = two_paths.draw_two(key, jax.lax.stop_gradient(logs))
    shares = two_paths.shares(logs, first, second)
    paths = Paths(slots.wide(first), slots.wide(second), shares)
    given = {**jax.lax.stop_gradient(variables), "paths": {"paths": paths}}
    keys = jax.random.split(key, batch["label"].shape[0])
    logits, _ = model.apply(
      given, batch["image"], train=True, keys=keys, mutable=["batch_stats"]
    )
    loss = losses.cross_entropy(
      logits, jax.nn.one_hot(batch["label"], logits.shape[-1])
    )
    price = slots.price(shares, jnp.stack([first, second], axis=1))
    penalty = two_paths.resource_penalty(price, options.target, options.weight)
    return loss + penalty, {"loss": loss, "price": price}

  gradient, metrics = jax.grad(loss_of, has_aux=True)(state.alpha)
  # Optax mixes floats with integer counts, which strict promotion does not allow.
  with jax.numpy_dtype_promotion("standard"):
    updates, moments = options.optimizer().update(gradient, state.moments)
  alpha: Any = optax.apply_updates(state.alpha, updates)
  kept = jnp.zeros_like(state.active) if kept is None else kept
  may_be_empty = jnp.asarray(slots.may_be_empty)
  active = nse_rules.still_active(alpha, state.active, kept, may_be_empty)
  return GateState(alpha, active, moments), metrics | {"active": jnp.sum(active)}
