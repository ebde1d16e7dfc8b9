"""The price of a choice: parameters, bytes, multiply-adds, measured latency.

A choice is priced block by block from their declarations, without tracing its network,
and costs what `cost.totals` says of the network that it stands for.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Literal, get_args

from neural_epitome.cost import totals
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.models import ends
from neural_epitome.models.block import Block
from neural_epitome.models.layer_specs import ConvSpec, SqueezeExciteSpec
from neural_epitome.spaces import chain_generators
from neural_epitome.spaces.arch import Arch
from neural_epitome.spaces.chain_space import ChainSpace
from neural_epitome.spaces.latency import LatencyTable

Metric = Literal["madds", "parameters", "bytes", "latency"]
METRICS = get_args(Metric)
UNITS = {
  "madds": "multiply-adds",
  "parameters": "parameters",
  "bytes": "bytes",
  "latency": "ms",
}
Price = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Prices:
  """Prices every choice of a space.

  Attributes:
    space: the choices.
    classes: number of classes.
    channels: of the images.
    table: measured latencies; without it there is no `latency`.
  """

  space: ChainSpace
  classes: int
  channels: int
  table: LatencyTable | None = None

  def __hash__(self) -> int:
    """By identity: a table is large."""
    return id(self)

  def of(self, arch: Arch) -> Price:
    """The price of a choice by metric.

    `parameters` and `bytes` are what is stored, `madds` the multiply-adds of one image
    with folded layers, and `latency` milliseconds a batch.
    """
    *inputs, last = self.space.inputs(arch)
    stored = [
      (*rates, *bits)
      for rates, bits in zip(arch.rate.tolist(), arch.bits.tolist(), strict=True)
    ]
    parts = [self._ends(last, *stored.pop())]
    for index, channels in enumerate(inputs):
      genes = arch.window[index], arch.width[index], arch.operation[index]
      parts.append(self._block(index, channels, *map(int, genes), *stored[index]))
    price = {name: sum(part[name] for part in parts) for name in METRICS[:3]}
    if self.table is not None:
      price["latency"] = self.table.of(self.space, arch)
    return price

  @functools.cached_property
  def _cache(self) -> dict[tuple[int, ...], Price]:
    return {}

  def _block(
    self, index: int, inputs: int, window: int, width: int, operation: int, *stored: int
  ) -> Price:
    """The price of one block alone.

    Args:
      index: of the block.
      inputs: channels that it reads.
      window: height and width of its spatial kernels.
      width: hidden channels; 0 is a block that is left out, which costs nothing.
      operation: index into `chain.OPERATIONS`.
      *stored: rates of `arch.KERNELS`, and bits of them.
    """
    key = (index, inputs, window, width, operation, *stored)
    if key not in self._cache:
      block = self.space.declare(index, inputs, window, width, operation)
      size = (self.space.positions[index].size,) * 2
      self._cache[key] = _price(f"block_{index}/", block, size, stored)
    return self._cache[key]

  def _ends(self, inputs: int, *stored: int) -> Price:
    """The price of stem, head and classifier together.

    Args:
      inputs: channels that the head reads.
      *stored: rates of head and classifier, and bits of them.
    """
    key = (-1, inputs, *stored)
    if key not in self._cache:
      space = self.space
      first = ends.stem(self.channels, space.stem, space.stem_stride)
      stem = Block(first.inputs, first.outputs, (first,))
      position = space.positions[-1]
      size = (-(-position.size // position.stride),) * 2
      last = ends.head(inputs, space.head, self.classes)
      parts = (
        _price("", stem, (space.image_size,) * 2, (1, 1, 32, 32)),
        _price("", last, size, stored),
      )
      self._cache[key] = {name: sum(p[name] for p in parts) for name in METRICS[:3]}
    return self._cache[key]


def block_inventory(prefix: str, block: Block, size: Sequence[int]) -> Inventory:
  """The part of a network's inventory that is of one block; nothing is traced.

  Args:
    prefix: of the block's parameter paths, with the slash.
    block: its declaration.
    size: height and width of its input.
  """
  uses, rest = [], {}

  def convolved(path: str, spec: ConvSpec, size: Sequence[int]) -> tuple[int, ...]:
    size = tuple(size) if spec.kernel_size else ()
    after = spec.output_size(size)
    groups, strides = spec.feature_group_count, spec.spatial_strides
    path = f"{prefix}{path}"
    uses.append(
      KernelUse(f"{path}/kernel", spec.kernel_shape, groups, strides, size, after)
    )
    if spec.use_bias:
      rest[f"{path}/bias"] = (spec.outputs.count,)
    if spec.norm is not None:
      for name in ("scale", "bias"):
        rest[f"{prefix}{spec.norm}/{name}"] = (spec.outputs.count,)
    return after

  inside = size
  for layer in block.layers:
    if isinstance(layer, ConvSpec):
      inside = convolved(layer.name, layer, inside)
    elif isinstance(layer, SqueezeExciteSpec):
      for spec in layer.convolutions:
        convolved(f"{layer.name}/{spec.name}", spec, (1, 1))
  if isinstance(block.shortcut, ConvSpec):
    convolved(block.shortcut.name, block.shortcut, size)
  return Inventory(tuple(uses), rest)


def _price(
  prefix: str, block: Block, size: Sequence[int], stored: Sequence[int]
) -> Price:
  """Of a block whose rates, and then bits, are `stored`."""
  rates, bits = stored[:2], stored[2:]
  inventory = block_inventory(prefix, block, size)
  planner = chain_generators.of_block(prefix, block, rates, bits)
  price = totals.price(planner.plan(inventory), inventory, "fold")
  return {
    "madds": price.madds,
    "parameters": price.stored_params,
    "bytes": price.stored_bytes,
  }
