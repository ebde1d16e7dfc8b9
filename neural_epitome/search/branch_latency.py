"""Timing the branches of a multi-branch space, each as `timing` has it."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.models import functions
from neural_epitome.models.base import Layers
from neural_epitome.models.block_module import BlockModule, conv_layer, normed_conv
from neural_epitome.models.multi_branch import Place
from neural_epitome.models.operation_pools import POOLS
from neural_epitome.planning import DensePlanner
from neural_epitome.runs.progress import bar
from neural_epitome.search import timing
from neural_epitome.spaces.latency import Circumstances
from neural_epitome.spaces.multi_branch_costs import side_lengths
from neural_epitome.spaces.multi_branch_latency import BranchTimes, frame_of
from neural_epitome.spaces.multi_branch_prices import BranchPrices
from neural_epitome.spaces.multi_branch_space import MultiBranchSpace


def measure(
  space: MultiBranchSpace,
  classes: int,
  channels: int,
  *,
  batch: int,
  networks: int,
  quiet: bool,
) -> BranchTimes:
  """Times every operation of every cell, and some whole networks against their sums.

  Args:
    space: the choices.
    classes: number of classes.
    channels: of the images.
    batch: images in one call.
    networks: random choices that are timed whole.
    quiet: shows no progress.
  """
  # Cells that stand alike are timed once.
  places = list(
    zip(space.cells, side_lengths(space.frame, space.image_size), strict=False)
  )
  wanted = {
    (place, number): None
    for place, own in zip(places, space.pools, strict=True)
    for number in own
  }
  whole = space.sample(0, 7, count=networks)
  with bar(len(wanted) + len(whole), "branches", quiet) as shown:
    times = {}
    for place, number in wanted:
      times[place, number] = _time_branch(space, *place, number, batch)
      shown.update()
    joins = {place: _time_join(*place, batch) for place in dict.fromkeys(places)}
    shape = (batch, space.image_size, space.image_size, channels)
    ends = timing.milliseconds(
      lambda layers: _Ends(space, classes, layers), DensePlanner(), shape
    )
    measured = []
    for arch in whole:
      network = space.network(arch)
      measured.append(
        timing.milliseconds(
          lambda layers, network=network: network.build(classes, layers),
          DensePlanner(),
          shape,
        )
      )
      shown.update()
  rows = tuple(
    (index, number, round(times[place, number], 4))
    for index, (place, own) in enumerate(zip(places, space.pools, strict=True))
    for number in own
  )
  table = BranchTimes(
    Circumstances.here(batch),
    frame_of(space),
    space.image_size,
    round(ends, 4),
    rows,
    tuple(round(joins[place], 4) for place in places),
  )
  prices = BranchPrices(space, classes, channels, table)
  sums = [prices.of(arch)["latency"] for arch in whole]
  slope, correlation = timing.agreement(sums, measured)
  return dataclasses.replace(
    table, slope=slope, rank_correlation=correlation, checked=len(whole)
  )


def _time_branch(
  space: MultiBranchSpace, place: Place, size: int, number: int, batch: int
) -> float:
  operation = POOLS[space.frame.pool][number]
  block = operation.declare(place.inputs, place.features, place.stride)
  shape = (batch, size, size, place.inputs)
  return timing.milliseconds(
    lambda layers: BlockModule(block, layers), DensePlanner(), shape
  )


def _time_join(place: Place, size: int, batch: int) -> float:
  """Of the sum of two outputs of a cell."""
  after = -(-size // place.stride)
  x = jnp.zeros((batch, after, after, place.features))
  add = jax.jit(jnp.add)
  return max(0.0, timing.median(lambda: add(x, x)) - timing.empty_call())


class _Ends(nn.Module):
  """Stem, head and classifier, nothing between them."""

  space: MultiBranchSpace
  classes: int
  layers: Layers

  @nn.compact
  def __call__(self, images: jax.Array) -> jax.Array:
    space, layers = self.space, self.layers
    before, behind = space.frame.ends(images.shape[-1], self.classes)
    stem, head, classifier = (
      spec for block in (before, behind) for _, spec in block.convolutions()
    )
    x = normed_conv(stem, layers, images, train=False)
    # What the cells would hand on, without a second look at the stem's output.
    size = side_lengths(space.frame, space.image_size)[-1]
    shape = (x.shape[0], size, size, space.cells[-1].features)
    x = jnp.mean(x) + jnp.zeros(shape)
    x = functions.pool(normed_conv(head, layers, x, train=False))
    return conv_layer(classifier, layers)(x)
