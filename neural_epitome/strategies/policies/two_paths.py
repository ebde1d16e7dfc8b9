"""The gradient of gates from two sets of operations a cell, as NSE estimates it.

A cell draws two different sets of its operations, and computes the first set's output.
The loss reaches the gates through the share that each set has of the two probabilities
(Ci et al., arXiv 2011.10904; the rule is that of the authors' code):

    q1 = P(S1) / (P(S1) + P(S2)),   q2 = 1 - q1
    y  = y1 (q1 + 1 - sg(q1)) + sg(y2) (q2 - sg(q2))

Its value is y1. Its gradient, in the mean, is about half as long as that of the
expected loss. It has the same direction while gates are even and the loss is at most
quadratic in y, and nearly so otherwise. That is computed by the network
(`spaces.multi_branch_module.combined`); here are sets, draws and shares. Cells are
rows: K gates each, some of them out of use.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.strategies.policies.gates import probability

# For sets that may not be: no probability, and no NaN in the gradient.
_NEVER = -1e30


def subsets(count: int) -> np.ndarray:
  """All sets of so many operations: bool (2**count, count), the empty one first."""
  return np.array(list(itertools.product((False, True), repeat=count)))


def log_probabilities(
  alpha: jax.Array, active: jax.Array, may_be_empty: jax.Array
) -> jax.Array:
  """Of every set of `subsets`, in every cell: float32 (cells, 2**K), in nats.

  A set is as likely as its gates say, given that it is allowed: it has no operation
  that is out of use, and is only empty in a cell that may be.

  Args:
    alpha: float32 (cells, K).
    active: bool (cells, K), operations in use.
    may_be_empty: bool (cells,): cells whose input is one of what is averaged.
  """
  sets = subsets(alpha.shape[1])
  on = probability(alpha)[:, None]
  gates = jnp.log(jnp.where(sets[None], on, 1.0 - on))
  logs = jnp.sum(jnp.where(active[:, None], gates, 0.0), axis=-1)
  allowed = ~jnp.any(sets[None] & ~active[:, None], axis=-1)
  allowed &= np.any(sets, axis=1)[None, :] | may_be_empty[:, None]
  return jax.nn.log_softmax(jnp.where(allowed, logs, _NEVER), axis=-1)


def draw_two(key: jax.Array, logs: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Two different sets of every cell, drawn one after the other without replacement.

  The largest two of the log-probabilities with Gumbel noise added are such a draw
  (Kool et al., arXiv 1903.06059).

  Args:
    key: of the draw.
    logs: float32 (cells, sets).

  Returns:
    The indices of both, int32 (cells,) each. A cell with a single set that is allowed
    has it twice: each has half of the share, and no gradient.
  """
  noisy = logs + jax.random.gumbel(key, logs.shape, logs.dtype)
  _, drawn = jax.lax.top_k(noisy, 2)
  first, second = drawn[:, 0], drawn[:, 1]
  allowed = jnp.take_along_axis(logs, drawn[:, 1:], axis=1)[:, 0] > _NEVER / 2
  return first, jnp.where(allowed, second, first)


def shares(logs: jax.Array, first: jax.Array, second: jax.Array) -> jax.Array:
  """q1 and q2 of every cell: float32 (cells, 2), differentiable.

  Args:
    logs: float32 (cells, sets).
    first: int32 (cells,), indices of sets.
    second: likewise.
  """
  both = jnp.stack([first, second], axis=-1)
  return jax.nn.softmax(jnp.take_along_axis(logs, both, axis=-1), axis=-1)


def expected_cost(share: jax.Array, costs: jax.Array) -> jax.Array:
  """Sum over cells of q1 c(S1) + q2 c(S2): a differentiable price, float32 scalar.

  Args:
    share: float32 (cells, 2).
    costs: float32 (cells, 2), of both sets of every cell: multiply-adds, parameters, or
      milliseconds of a table. What does not depend on the gates is left to the caller.
  """
  return jnp.sum(share * costs)


def resource_penalty(
  price: jax.Array, target: float, weight: float, power: float = 2.0
) -> jax.Array:
  """Weight times |price - target|^power: holds a price at its target, from both sides.

  Args:
    price: of the network, as of `expected_cost` with what is always there.
    target: in the same unit.
    weight: of the penalty beside a loss in nats; NSE has 1e-5 for millions of
      multiply-adds, and 2e-4 for its unit of latency.
    power: NSE's is 2.
  """
  return weight * jnp.abs(price - target) ** power
