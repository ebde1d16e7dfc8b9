"""Batch-norm statistics estimated anew for weights that will not change again.

The moving averages that training leaves behind lag the weights, and those of
averaged (EMA) weights were never observed at all. Here the statistics of some
training batches are measured with the weights, and the routing map, held still, and
averaged with equal weight: the mean of the batches' means, the mean of their
variances.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.sharding import Mesh

from neural_epitome.config import Config
from neural_epitome.distributed.devices import AXIS, Batch, over_devices, prefetch
from neural_epitome.training import losses
from neural_epitome.training.setup import Setup
from neural_epitome.training.state import State

Tree = Any
Measure = Callable[[Tree, Batch], Tree]


def make_measure(model: nn.Module, mesh: Mesh, momentum: float, seed: int) -> Measure:
  """Builds the compiled measurement of one batch.

  Flax hands out a batch's statistics only mixed into the moving average,
  m * old + (1 - m) * new: started from zeros and divided by 1 - m they are `new`.

  Args:
    model: the network.
    mesh: one axis, `data`.
    momentum: m of all its batch norms, below 1.
    seed: of the keys of dropout and stochastic depth.

  Returns:
    `measure(variables, batch) -> batch_stats` of this batch, a mean over devices
    where each normalises its own part.
  """

  def on_device(variables: Tree, batch: Batch) -> Tree:
    zeros = jax.tree.map(jnp.zeros_like, variables["batch_stats"])
    keys = losses.example_keys(seed, losses.REESTIMATION_STREAM, batch["position"])
    # The routing collection is not mutable: layers read the map and leave it.
    _, updated = model.apply(
      {**variables, "batch_stats": zeros},
      batch["image"],
      train=True,
      keys=keys,
      mutable=["batch_stats"],
    )
    mean = jax.lax.pmean(updated["batch_stats"], AXIS)
    return jax.tree.map(lambda value: value / (1.0 - momentum), mean)

  return over_devices(on_device, mesh)


def reestimate(
  measure: Measure,
  weights: Mapping[str, Tree],
  batches: Iterable[Batch],
  mesh: Mesh,
) -> dict[str, Tree]:
  """The sets of variables with statistics measured on `batches`.

  Args:
    measure: from `make_measure`.
    weights: sets of model variables, by name.
    batches: training batches, this process's rows of each; all are read.
    mesh: one axis, `data`.

  Returns:
    The same sets with new `batch_stats`; without batches, the same.
  """
  sums: dict[str, Tree] = {}
  count = 0
  rows = ({"image": b["image"], "position": b["position"]} for b in batches)
  for batch in prefetch(rows, mesh):
    count += 1
    for name, variables in weights.items():
      sums_of_batch = measure(variables, batch)
      before = sums.get(name)
      sums[name] = (
        sums_of_batch
        if before is None
        else jax.tree.map(jnp.add, before, sums_of_batch)
      )
      # One program at a time, see `evaluation.evaluate`.
      jax.block_until_ready(sums[name])
  if not count:
    return dict(weights)
  return {
    name: {
      **variables,
      "batch_stats": jax.tree.map(lambda total: total / count, sums[name]),
    }
    for name, variables in weights.items()
  }


def reestimate_state(config: Config, setup: Setup, state: State) -> State:
  """A trained state with statistics measured on the batches that would come next.

  The same state where `config.training.reestimation_batches` is 0 or the network has
  no batch norms.

  Args:
    config: the experiment.
    setup: of the run.
    state: after the last step.
  """
  count = config.training.reestimation_batches
  if count <= 0 or not state.batch_stats:
    return state
  measure = make_measure(
    setup.model, setup.mesh, config.norm.momentum, config.training.seed
  )
  with contextlib.closing(setup.feed.training(setup.total_steps)) as batches:
    first = itertools.islice(batches, count)
    weights = reestimate(measure, state.weights(), first, setup.mesh)
  return state.replace(
    batch_stats=weights["raw"]["batch_stats"], ema=weights.get("ema", {})
  )
