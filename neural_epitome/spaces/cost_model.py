"""The price of a choice: parameters, bytes, multiply-adds, measured latency.

A choice is priced block by block, without tracing its network, as `cost.totals` prices
the network that it stands for.
"""

import dataclasses
import functools
from typing import Literal, get_args

from neural_epitome.cost import totals
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.planning.chosen import ChosenPlanner
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
Genes = tuple[int, ...]


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
    """Price by metric, layers folded; latency in milliseconds a batch."""
    inputs = self.space.inputs(arch)
    parts = [self._ends(inputs[-1], *arch.rate[-1].tolist(), *arch.bits[-1].tolist())]
    for index, channels in enumerate(inputs[:-1]):
      parts.append(self._block(index, channels, *_genes(arch, index)))
    found = {name: sum(part[name] for part in parts) for name in METRICS[:3]}
    if self.table is not None:
      found["latency"] = self.table.of(self.space, arch)
    return found

  @functools.cached_property
  def _cache(self) -> dict[tuple[int, ...], Price]:
    return {}

  def _block(self, *genes: int) -> Price:
    """Of one block: index, inputs, window, width, operation, rates, bits."""
    found = self._cache.get(genes)
    if found is None:
      found = _price(*self._block_inventory(*genes))
      self._cache[genes] = found
    return found

  def _block_inventory(
    self, index: int, inputs: int, window: int, width: int, operation: int, *rest: int
  ) -> tuple[Inventory, ChosenPlanner]:
    position = self.space.positions[index]
    if not width:
      return Inventory((), {}), ChosenPlanner()
    at, features = f"block_{index}", position.features
    before, after = (position.size,) * 2, (-(-position.size // position.stride),) * 2
    strides = (position.stride,) * 2
    uses = [
      _conv(f"{at}/expand", 1, inputs, width, before),
      KernelUse(
        f"{at}/depthwise/kernel",
        (window, window, 1, width),
        width,
        strides,
        before,
        after,
      ),
      _conv(f"{at}/project", 1, width, features, after),
    ]
    rest_of = {
      f"{at}/{name}": (2 * width,) for name in ("expand_norm", "depthwise_norm")
    }
    rest_of[f"{at}/project_norm"] = (2 * features,)
    if operation:
      squeezed = max(1, features // self.space.squeeze)
      uses[2:2] = [
        _conv(f"{at}/se/squeeze", 1, width, squeezed, (1, 1)),
        _conv(f"{at}/se/excite", 1, squeezed, width, (1, 1)),
      ]
      rest_of |= {
        f"{at}/se/squeeze/bias": (squeezed,),
        f"{at}/se/excite/bias": (width,),
      }
    rates, bits = rest[: len(rest) // 2], rest[len(rest) // 2 :]
    planner = chain_generators.of_block(self.space, index, inputs, width, rates, bits)
    return Inventory(tuple(uses), rest_of), planner

  def _ends(self, inputs: int, *rest: int) -> Price:
    """Of stem, head and classifier, where the head reads so many channels.

    Args:
      inputs: so many.
      *rest: rates of head and classifier, and bits.
    """
    key = (-1, inputs, *rest)
    if key not in self._cache:
      space = self.space
      size = -(-space.image_size // space.stem_stride)
      for position in space.positions:
        size = -(-size // position.stride)
      stem = -(-space.image_size // space.stem_stride)
      uses = (
        _conv("stem", 3, self.channels, space.stem, (stem,) * 2),
        _conv("head", 1, inputs, space.head, (size,) * 2),
        KernelUse("classifier/kernel", (space.head, self.classes)),
      )
      others = {
        "stem_norm": (2 * space.stem,),
        "head_norm": (2 * space.head,),
        "classifier/bias": (self.classes,),
      }
      planner = chain_generators.of_last(
        space, inputs, self.classes, rest[:2], rest[2:]
      )
      self._cache[key] = _price(Inventory(uses, others), planner)
    return self._cache[key]


def _genes(arch: Arch, index: int) -> Genes:
  own = (arch.window[index], arch.width[index], arch.operation[index])
  return tuple(int(gene) for gene in (*own, *arch.rate[index], *arch.bits[index]))


def _conv(
  layer: str, window: int, inputs: int, features: int, size: tuple[int, ...]
) -> KernelUse:
  # Strides and input size do not enter the price of what is dense or tiled with no
  # stride; the stem's do not either, as it stays dense.
  return KernelUse(
    f"{layer}/kernel", (window, window, inputs, features), 1, (1, 1), size, size
  )


def _price(inventory: Inventory, planner: ChosenPlanner) -> Price:
  found = totals.price(planner.plan(inventory), inventory, "fold")
  return {
    "madds": found.madds,
    "parameters": found.stored_params,
    "bytes": found.stored_bytes,
  }
