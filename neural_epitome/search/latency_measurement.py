"""Timing the blocks of a space: each compiled alone, folded, its batch norms merged."""

import functools
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from scipy import stats

from neural_epitome import models
from neural_epitome.config import Config
from neural_epitome.cost import inventory as inventories
from neural_epitome.errors import UserError
from neural_epitome.models import ends, functions
from neural_epitome.models.base import Layers
from neural_epitome.models.block_module import BlockModule, conv_layer, normed_conv
from neural_epitome.models.chain import OPERATIONS
from neural_epitome.planning import Planner
from neural_epitome.runs.progress import bar
from neural_epitome.spaces import SupernetConfig, chain_generators
from neural_epitome.spaces.arch import Arch
from neural_epitome.spaces.chain_space import ChainSpace
from neural_epitome.spaces.latency import Circumstances, Key, LatencyTable, alike, keys

# A sample is as many calls as take so many seconds: one of a small block is over before
# a clock can tell.
SAMPLES, SAMPLE_SECONDS = 15, 1e-3


def write(
  config: Config, path: Path, *, batch: int, networks: int, quiet: bool
) -> LatencyTable:
  """Times the blocks of a search's space on this machine, and writes the table.

  Args:
    config: of a supernet.
    path: of the file.
    batch: images in one call.
    networks: random choices that are timed whole, to compare their sums with.
    quiet: shows no progress.

  Raises:
    UserError: if the configuration has no space, or the numbers are not above 0.
  """
  if not isinstance(config.model, SupernetConfig):
    raise UserError(f"Experiment {config.name} has no space: its model is no supernet.")
  if batch < 1 or networks < 2:
    raise UserError(f"Latency needs a batch above 0, not {batch}, and 2 networks.")
  config.model.space.check()
  from neural_epitome.data import sources

  data = config.data
  classes = data.classes or len(sources.open_source(data, data.train_split).classes)
  table = measure(
    config.model.space,
    classes,
    data.input_shape[-1],
    batch=batch,
    networks=networks,
    quiet=quiet,
  )
  table.save(path)
  return table


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
  slope, correlation = _agreement(sums, measured)
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
  return _time(build, planner, (batch, *shape))


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
  return _time(build, planner, (batch, space.image_size, space.image_size, channels))


def _time_network(
  space: ChainSpace, arch: Arch, classes: int, channels: int, batch: int
) -> float:
  network = space.network(arch)
  shape = (batch, space.image_size, space.image_size, channels)
  return _time(
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


def _time(
  build: Callable[[Layers], nn.Module],
  planner: Planner,
  shape: tuple[int, ...],
) -> float:
  """Milliseconds of one call of a module as it ships, less those of an empty one."""
  inventory = inventories.take(build(models.make_layers()), shape[1:])
  plan = planner.plan(inventory)
  module = build(models.make_layers(plan=plan, execution="fold", merged=True))
  x = jnp.zeros(shape)
  variables = jax.jit(module.init)(jax.random.key(0), x)
  # Constants, as they ship: arguments would be counted and checked in every call.
  run = jax.jit(functools.partial(module.apply, variables))
  return max(0.0, _median(lambda: run(x)) - _empty_call())


@functools.cache
def _empty_call() -> float:
  nothing = jax.jit(lambda x: x + 1.0)
  x = jnp.zeros(())
  return _median(lambda: nothing(x))


def _median(call: Callable[[], jax.Array]) -> float:
  """Milliseconds of a call, the first of which compiles."""

  def seconds(calls: int) -> float:
    begin = time.perf_counter()
    for _ in range(calls):
      call().block_until_ready()
    return (time.perf_counter() - begin) / calls

  seconds(3)
  calls = 1 + int(SAMPLE_SECONDS / seconds(3))
  return 1e3 * statistics.median(seconds(calls) for _ in range(SAMPLES))


def _agreement(sums: Sequence[float], measured: Sequence[float]) -> tuple[float, float]:
  """Slope through the origin and Spearman's rank correlation."""
  if len(sums) < 2:
    return 1.0, 1.0
  x, y = np.array(sums), np.array(measured)
  ranked: Any = stats.spearmanr(x, y)
  return float(x @ y / (x @ x)), float(ranked.statistic)
