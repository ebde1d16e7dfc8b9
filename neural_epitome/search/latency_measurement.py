"""Timing the blocks of a chain space: each compiled alone, folded, its norms merged."""

import itertools

import jax
import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.models import ends, functions
from neural_epitome.models.base import Layers
from neural_epitome.models.block_module import BlockModule, conv_layer, normed_conv
from neural_epitome.models.chain import OPERATIONS
from neural_epitome.runs.progress import bar
from neural_epitome.search import timing
from neural_epitome.spaces import chain_generators
from neural_epitome.spaces.arch import Arch
from neural_epitome.spaces.chain_space import ChainSpace
from neural_epitome.spaces.latency import Circumstances, Key, LatencyTable, alike, keys


def measure(
  space: ChainSpace,
  classes: int,
  channels: int,
  *,
  batch: int,
  networks: int,
  quiet: bool,
) -> LatencyTable:
  """Times every block that a choice may have, and some whole networks against them.

  Args:
    space: the choices.
    classes: number of classes.
    channels: of the images.
    batch: images in one call.
    networks: random choices that are timed whole.
    quiet: shows no progress.
  """
  rows = _all_keys(space)
  whole = space.sample(0, 7, count=networks)
  times: dict[Key, float] = {}
  measured = []
  with bar(len(rows) + len(whole), "blocks", quiet) as shown:
    for key in rows:
      if key[0] < 0:
        times[key] = _time_ends(space, key[1:], classes, channels, batch)
      else:
        times[key] = _time_block(space, key, batch)
      shown.update()
    for arch in whole:
      measured.append(_time_network(space, arch, classes, channels, batch))
      shown.update()
  sums = [sum(times[key] for key in keys(space, arch)) for arch in whole]
  slope, correlation = timing.agreement(sums, measured)
  return LatencyTable(
    Circumstances.here(batch),
    space,
    tuple((*key[1:], round(ms, 4)) for key, ms in times.items() if key[0] < 0),
    tuple((*key, round(ms, 4)) for key, ms in times.items() if key[0] >= 0),
    slope,
    correlation,
    len(whole),
  )


def _all_keys(space: ChainSpace) -> list[Key]:
  """Of every block that a choice may have: with whatever it may have to read."""
  timed: list[Key] = []
  readable = {space.stem}
  operations, first = _operations(space), alike(space)
  for index, position in enumerate(space.positions):
    for channels, width in itertools.product(sorted(readable), space.widths(index)):
      if not width:
        timed.append((first[index], channels, *_first(space)))
        continue
      rates = itertools.product(space.rates, repeat=2)
      for window, operation, pair in itertools.product(
        space.windows, operations, rates
      ):
        timed.append((first[index], channels, window, width, operation, *pair))
    passed = {min(c, position.features) for c in readable} if space.bypass else set()
    readable = passed | {position.features}
  rates = list(itertools.product(space.rates, repeat=2))
  timed += [(-1, channels, *pair) for channels in sorted(readable) for pair in rates]
  return list(dict.fromkeys(timed))


def _operations(space: ChainSpace) -> list[int]:
  return [OPERATIONS.index(name) for name in space.operations]


def _first(space: ChainSpace) -> Key:
  return space.windows[0], 0, _operations(space)[0], space.rates[0], space.rates[0]


def _time_block(space: ChainSpace, key: Key, batch: int) -> float:
  index, inputs, window, width, operation, *rates = key
  position = space.positions[index]
  if not width and position.stride == 1:
    return 0.0
  block = space.declare(index, inputs, window, width, operation)
  # Bits decide what is stored, not what is computed.
  planner = chain_generators.of_block("", block, rates, (32, 32))

  def build(layers: Layers) -> nn.Module:
    return BlockModule(block, layers)

  shape = (position.size, position.size, inputs)
  return timing.milliseconds(build, planner, (batch, *shape))


def _time_ends(
  space: ChainSpace, key: Key, classes: int, channels: int, batch: int
) -> float:
  inputs, *rates = key
  size = space.positions[-1].size
  size = -(-size // space.positions[-1].stride)

  def build(layers: Layers) -> nn.Module:
    return _Ends(space, classes, inputs, size, layers)

  last = ends.head(inputs, space.head, classes)
  planner = chain_generators.of_block("", last, rates, (32, 32))
  return timing.milliseconds(
    build, planner, (batch, space.image_size, space.image_size, channels)
  )


def _time_network(
  space: ChainSpace, arch: Arch, classes: int, channels: int, batch: int
) -> float:
  network = space.network(arch)
  shape = (batch, space.image_size, space.image_size, channels)
  return timing.milliseconds(
    lambda layers: network.build(classes, layers),
    chain_generators.of_choice(space, arch, classes),
    shape,
  )


class _Ends(nn.Module):
  """Stem, head and classifier, nothing between them."""

  space: ChainSpace
  classes: int
  inputs: int
  size: int
  layers: Layers

  @nn.compact
  def __call__(self, images: jax.Array) -> jax.Array:
    space, layers = self.space, self.layers

    stem = ends.stem(images.shape[-1], space.stem, space.stem_stride)
    x = normed_conv(stem, layers, images, train=False)
    # What the blocks would hand on, without a second look at the stem's output.
    x = jnp.mean(x) + jnp.zeros((x.shape[0], self.size, self.size, self.inputs))
    head = ends.head(self.inputs, space.head, self.classes)
    last, classifier = (spec for _, spec in head.convolutions())
    x = functions.pool(normed_conv(last, layers, x, train=False))
    return conv_layer(classifier, layers)(x)
