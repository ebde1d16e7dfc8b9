"""One step of the gates of a multi-branch supernet, its weights held still.

The A-step of NSE (Ci et al., arXiv 2011.10904; constants are those of the authors'
code): two different sets of branches are drawn in every cell, the loss on images that
the weights do not train on reaches the gates through their shares, and squared
penalties hold prices at their targets. `step` is a pure function. Its state is a part
of the run's (`state.State.policy`), so that gates, their optimiser and the operations
that were dropped are saved and resumed with the weights.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from neural_epitome.config import Config
from neural_epitome.errors import UserError
from neural_epitome.spaces.gate_options import UNITS, GateOptions
from neural_epitome.spaces.multi_branch_module import Paths
from neural_epitome.spaces.multi_branch_prices import BranchPrices
from neural_epitome.strategies import nse_rules
from neural_epitome.strategies.policies import gates, two_paths
from neural_epitome.training import losses

# All sets of a cell's operations are listed.
_MOST = 10
# Times in a run at which the gates are kept, to look at afterwards.
KEPT_TIMES = 24


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class GateState:
  """Gates that learn, K to a cell: operations in the order of their numbers.

  Attributes:
    alpha: float32 (cells, K).
    active: bool (cells, K), operations that are in use.
    moments: of the optimiser.
    loss: nats, of the last step.
    price: expected at the last step, in the unit of the first penalty, or in millions
      of multiply-adds.
    history: float32 (KEPT_TIMES, cells, K), probabilities at even distances in time, 0
      of what is out of use; -1 at times to come.
  """

  alpha: jax.Array
  active: jax.Array
  moments: Any
  loss: jax.Array
  price: jax.Array
  history: jax.Array

  def metrics(self) -> dict[str, jax.Array]:
    """Of a step, as scalars: entropy is in nats, the sum over gates in use."""
    on = self.probability()
    each = -on * jnp.log(on) - (1.0 - on) * jnp.log1p(-on)
    # Sums, not the arrays themselves: those are donated with the state.
    return {
      "gate_loss": self.loss + 0.0,
      "gate_price": self.price + 0.0,
      "gate_entropy": jnp.sum(jnp.where(self.active, each, 0.0)),
      "gates_active": jnp.sum(self.active, dtype=jnp.int32),
    }

  def probability(self) -> jax.Array:
    """Of every gate to be on, were it in use: float32 (cells, K)."""
    return gates.probability(self.alpha)


class GateSlots:
  """What gates of a state stand for, and what sets of them cost.

  Attributes:
    exists: bool (cells, K), gates that have an operation.
    may_be_empty: bool (cells,).
  """

  def __init__(self, prices: BranchPrices, options: GateOptions):
    """Prices every set of every cell.

    Args:
      prices: of a space whose usable operations have gates.
      options: its penalties say which prices there are.

    Raises:
      UserError: if a cell has more operations than can be listed in sets, or a latency
        is asked for and no table given.
    """
    space = prices.space
    self._slots, self.exists = space.slots, space.slots.exists
    count = self.exists.shape[1]
    if count > _MOST:
      raise UserError(
        f"A cell has {count} operations in use, and gates learn of {_MOST} at most: "
        "restrict the space to a part, or set config.model.gates=null."
      )
    self.may_be_empty = space.may_be_empty
    self._sets = two_paths.subsets(count)
    self._costs, self._ends = {}, {}
    for metric in dict.fromkeys(
      ("madds", *(penalty.metric for penalty in options.penalties))
    ):
      if metric not in prices.metrics:
        raise UserError(
          f"A penalty of config.model.gates is for {metric}, and "
          "config.search.latency_table names no table."
        )
      # One set after the other: all of them wide would be large.
      rows = [prices.of_cells(metric, self._wide_set(own)) for own in self._sets]
      self._costs[metric] = np.stack(rows, axis=1) / UNITS[metric]
      self._ends[metric] = prices.ends(metric) / UNITS[metric]

  def _wide_set(self, own: np.ndarray) -> np.ndarray:
    """The gates of one set in every cell, (cells, operations), of those that exist."""
    everywhere = jnp.asarray(np.broadcast_to(own, self.exists.shape))
    return np.asarray(self._slots.wide(everywhere))

  def start(self, options: GateOptions) -> GateState:
    """All operations in use, as likely on as off."""
    alpha = jnp.zeros(self.exists.shape, jnp.float32)
    zero = jnp.zeros((), jnp.float32)
    history = jnp.full((KEPT_TIMES, *alpha.shape), -1.0, jnp.float32)
    moments = optimizer(options).init(alpha)
    return GateState(alpha, jnp.asarray(self.exists), moments, zero, zero, history)

  def log_probabilities(self, alpha: jax.Array, active: jax.Array) -> jax.Array:
    """Of every set of every cell; see `two_paths.log_probabilities`."""
    return two_paths.log_probabilities(alpha, active, jnp.asarray(self.may_be_empty))

  def wide(self, sets: jax.Array) -> jax.Array:
    """The network's gates, int32 (cells, operations), of indices of sets (cells,)."""
    return self._slots.wide(jnp.asarray(self._sets, jnp.int32)[sets])

  def price(
    self, shares: jax.Array, sets: jax.Array, metric: str = "madds"
  ) -> jax.Array:
    """Expected price of two sets (cells, 2) with these shares, in `UNITS`."""
    table = jnp.asarray(self._costs[metric], jnp.float32)
    costs = jnp.take_along_axis(table, sets, axis=1)
    return two_paths.expected_cost(shares, costs) + self._ends[metric]


def optimizer(options: GateOptions) -> optax.GradientTransformation:
  """The rule of the gates: Adam without momentum, as NSE's authors have it."""
  return optax.adam(options.learning_rate, b1=0.0, b2=0.999)


@dataclasses.dataclass(frozen=True)
class Gates:
  """The gates of a run.

  Attributes:
    slots: what they stand for.
    options: how they learn.
    kept: bool (cells, K), operations that are never dropped.
  """

  slots: GateSlots
  options: GateOptions
  kept: np.ndarray

  def start(self) -> GateState:
    """See `GateSlots.start`."""
    return self.slots.start(self.options)


def of(config: Config, classes: int) -> Gates | None:
  """The gates that train beside a configuration's weights; None where none do.

  Raises:
    UserError: as `GateSlots`, or if the table of latencies is unfit.
  """
  model: Any = config.model
  options: GateOptions | None = getattr(model, "gates", None)
  if options is None:
    return None
  table = None
  if options.latency_table:
    # Whether this machine's is asked for was decided when the search began.
    table = model.latency_table(options.latency_table, anywhere=True)
  prices = model.prices(classes, config.data.input_shape[-1], table)
  kept = np.zeros(model.space.usable.shape, bool)
  for cell, own in enumerate(model.kept):
    kept[cell, list(own)] = True
  slots = GateSlots(prices, options)
  return Gates(slots, options, model.space.slots.narrow(kept).astype(bool))


def step(
  model: nn.Module,
  slots: GateSlots,
  options: GateOptions,
  state: GateState,
  variables: Any,
  batch: dict[str, jax.Array],
  key: jax.Array,
  kept: Any = None,
  *,
  time: Any = 0,
  axis_name: str | None = None,
) -> GateState:
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
    time: int32, index into the state's history.
    axis_name: of the devices that have a part of the batch each; None is one device.

  Returns:
    The state after it, whose loss is that of the first sets.
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
    both, total = jnp.stack([first, second], axis=1), loss
    for penalty in options.penalties:
      if penalty.target:
        price = slots.price(shares, both, penalty.metric)
        total += two_paths.resource_penalty(price, penalty.target, penalty.weight)
    metric = options.penalties[0].metric if options.penalties else "madds"
    price = jax.lax.stop_gradient(slots.price(shares, both, metric))
    return total, {"loss": loss, "price": price}

  alpha = state.alpha
  if axis_name is not None:
    # Of each device its own gradient, of which the mean is taken below.
    alpha = jax.lax.pcast(alpha, axis_name, to="varying")
  gradient, measured = jax.grad(loss_of, has_aux=True)(alpha)
  if axis_name is not None:
    gradient, measured = jax.lax.pmean((gradient, measured), axis_name)
  # Optax mixes floats with integer counts, which strict promotion does not allow.
  with jax.numpy_dtype_promotion("standard"):
    updates, moments = optimizer(options).update(gradient, state.moments)
  alpha: Any = optax.apply_updates(state.alpha, updates)
  kept = jnp.zeros_like(state.active) if kept is None else jnp.asarray(kept)
  may_be_empty = jnp.asarray(slots.may_be_empty)
  active = nse_rules.still_active(alpha, state.active, kept, may_be_empty)
  now = jnp.where(active, gates.probability(alpha), 0.0)
  history = state.history.at[time].set(now)
  return GateState(alpha, active, moments, measured["loss"], measured["price"], history)
