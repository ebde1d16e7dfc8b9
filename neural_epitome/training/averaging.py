"""The moving average of weights, statistics and routing maps."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

Tree = Any


def effective_decay(decay: float, step: jax.Array) -> jax.Array:
  """min(decay, (1 + t) / (10 + t)) after `step` = t completed updates.

  The warm-up of TensorFlow's `ExponentialMovingAverage(num_updates)`, which the
  MobileNet and EfficientNet recipes mean by their 0.9998. It averages about the
  last tenth of a short run. Adam's bias correction would instead average a short
  run from its very first step, initial weights included, and would need the
  correction at every read.
  """
  t = step.astype(jnp.float32)
  return jnp.minimum(jnp.float32(decay), (1.0 + t) / (10.0 + t))


def update(
  average: Tree,
  params: Tree,
  batch_stats: Tree,
  routing: Tree,
  *,
  decay: float,
  step: jax.Array,
  freeze_step: int,
) -> Tree:
  """The averaged copy after one more update.

  Batch statistics and routing maps are averaged over the horizon of the weights
  they belong to. From `freeze_step` on the map is the frozen map itself, which is
  what the network ships with.

  Args:
    average: {"params", "batch_stats", "routing"} so far.
    params: parameters after the update.
    batch_stats: moving statistics after the update.
    routing: routing collection after the update.
    decay: of the average.
    step: updates done before this one.
    freeze_step: first step trained with the frozen map.
  """
  rate = 1.0 - effective_decay(decay, step)

  def follow(new: Any, old: Any) -> Any:
    return optax.incremental_update(new, old, rate)

  def follow_routing(new: jax.Array, old: jax.Array) -> jax.Array:
    if not jnp.issubdtype(new.dtype, jnp.floating):
      return new
    return jnp.where(step >= freeze_step, new, follow(new, old))

  return {
    "params": follow(params, average["params"]),
    "batch_stats": follow(batch_stats, average["batch_stats"]),
    "routing": jax.tree.map(follow_routing, routing, average["routing"]),
  }
