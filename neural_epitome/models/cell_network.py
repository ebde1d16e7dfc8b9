"""Networks that are stacked from two cells, graphs of thirteen operations.

The frame is that of DARTS (Liu et al., arXiv 1806.09055): a 3x3 convolution, cells of
which two halve the size and double the channels, global pooling and a classifier. Every
cell reads the two before it through 1x1 convolutions.
"""

import dataclasses
import functools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from neural_epitome import codec
from neural_epitome.domains import Count
from neural_epitome.models import functions
from neural_epitome.models.base import (
  CLASSIFIER,
  Layers,
  ModelConfig,
  symmetric_padding,
)
from neural_epitome.models.cell_operations import OPERATIONS, Operation
from neural_epitome.models.cells import INPUTS, Cell, Cells, cell_from_json

# Channels of the stem over those of a node in the first cell, as in DARTS.
_STEM = 3


@dataclasses.dataclass(frozen=True)
class CellRows:
  """A cell as files have it; see `cells.Cell`.

  Attributes:
    edges: (from, to, operation) each.
    outputs: nodes that the output is made of.
  """

  edges: tuple[tuple[int, int, str], ...] = (
    (0, 2, "sep_conv_3x3"),
    (1, 2, "sep_conv_3x3"),
  )
  outputs: tuple[int, ...] = (2,)


@dataclasses.dataclass(frozen=True)
class Place:
  """A cell in a network.

  Attributes:
    is_reduction: whether it halves the size.
    channels: of each node.
  """

  is_reduction: bool
  channels: int


def places(cells: int, channels: int) -> tuple[Place, ...]:
  """Every cell, from the first.

  Reduction cells stand after a third and two thirds of the cells.

  Args:
    cells: how many.
    channels: of a node in the first cell, which reduction cells double.
  """
  reductions, found = {cells // 3, 2 * cells // 3}, []
  for index in range(cells):
    channels *= 2 if index in reductions else 1
    found.append(Place(index in reductions, channels))
  return tuple(found)


@dataclasses.dataclass(frozen=True)
class CellNetworkConfig(ModelConfig):
  """A network of cells.

  Attributes:
    normal: the cell that keeps the size.
    reduction: the one that halves it.
    cells: how many.
    channels: of a node in the first cell.
  """

  kind: ClassVar[str] = "cells"

  normal: CellRows = CellRows()
  reduction: CellRows = CellRows()
  cells: Count = 8
  channels: Count = 16

  @classmethod
  def of(cls, pair: Cells, cells: int, channels: int) -> "CellNetworkConfig":
    """The network of a pair of cells."""
    rows = [codec.decode(CellRows, cell.to_json()) for cell in pair.both]
    return cls(*rows, cells=cells, channels=channels)

  @property
  def pair(self) -> Cells:
    """The two cells.

    Raises:
      UserError: if the edges are no cell.
    """
    normal, reduction = (
      cell_from_json(codec.encode(getattr(self, name)), f"config.model.{name}")
      for name in ("normal", "reduction")
    )
    return Cells(normal, reduction)

  def build(self, classes: int, layers: Layers) -> nn.Module:
    """The Linen module; see `ModelConfig.build`."""
    _ = self.pair
    return CellNetwork(config=self, classes=classes, layers=layers)


class FactorizedReduce(nn.Module):
  """Halves the size by two 1x1 convolutions on every second pixel, side by side.

  Attributes:
    features: output channels.
    layers: factories.
  """

  features: int
  layers: Layers

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """(batch, height, width, channels) -> half the size, rounded up."""
    x = nn.relu(x)
    half = self.features // 2
    shifted = jnp.pad(x[:, 1:, 1:], ((0, 0), (0, 1), (0, 1), (0, 0)))
    parts = [
      self.layers.conv(count, (1, 1), strides=2, name=name)(own)
      for count, name, own in (
        (self.features - half, "even", x),
        (half, "odd", shifted),
      )
      if count
    ]
    y = jnp.concatenate(parts, axis=-1)
    return self.layers.norm(use_running_average=not train, name="norm")(y)


class EdgeModule(nn.Module):
  """What an edge computes.

  Attributes:
    operation: which.
    features: channels, which it keeps.
    stride: 1 or 2.
    layers: factories.
  """

  operation: Operation
  features: int
  stride: int
  layers: Layers

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """(batch, height, width, features) -> the same, of half the size with stride 2."""
    kernel = (self.operation.kernel,) * 2
    norm = functools.partial(self.layers.norm, use_running_average=not train)
    if self.operation.type == "skip":
      if self.stride == 1:
        return x
      return FactorizedReduce(self.features, self.layers, name="reduce")(x, train)
    if self.operation.type == "pool":
      own: dict[str, Any] = {"strides": (self.stride,) * 2}
      own["padding"] = symmetric_padding(kernel)
      if self.operation.name.startswith("max"):
        return norm(name="norm")(nn.max_pool(x, kernel, **own))
      pooled = nn.avg_pool(x, kernel, **own, count_include_pad=False)
      return norm(name="norm")(pooled)
    conv = self.layers.conv
    if self.operation.type == "conv":
      y = conv(self.features, kernel, strides=self.stride, name="conv")(nn.relu(x))
      return norm(name="norm")(y)
    is_dilated = self.operation.type == "dil_conv"
    for number in range(1 if is_dilated else 2):
      y = conv(
        self.features,
        kernel,
        strides=1 if number else self.stride,
        kernel_dilation=2 if is_dilated else 1,
        feature_group_count=self.features,
        name=f"depthwise_{number}",
      )(nn.relu(x))
      y = conv(self.features, (1, 1), name=f"pointwise_{number}")(y)
      x = norm(name=f"norm_{number}")(y)
    return x


class CellNetwork(nn.Module):
  """Stem, cells, classifier.

  The layers of edge n of cell i lie under `cell_i_edge_n`; edges that nothing depends
  on have none.

  Attributes:
    config: its arguments.
    classes: number of classes.
    layers: factories.
  """

  config: CellNetworkConfig
  classes: int
  layers: Layers

  @nn.compact
  def __call__(
    self, images: jax.Array, train: bool = False, keys: jax.Array | None = None
  ) -> jax.Array:
    """Images (batch, height, width, channels) -> float32 logits (batch, classes)."""
    del keys
    layers, pair = self.layers, self.config.pair
    x = layers.conv(_STEM * self.config.channels, (3, 3), name="stem")(images)
    x = layers.norm(use_running_average=not train, name="stem_norm")(x)
    before, last = x, x
    for index, place in enumerate(places(self.config.cells, self.config.channels)):
      cell = pair.reduction if place.is_reduction else pair.normal
      inputs = [
        self._input(x, last.shape[1], place.channels, f"cell_{index}_input_{n}", train)
        for n, x in enumerate((before, last))
      ]
      before, last = last, self._cell(index, cell, place, inputs, train)
    x = functions.pool(nn.relu(last))
    x = layers.dense(self.classes, use_bias=True, name=CLASSIFIER)(x)
    return x.astype(jnp.float32)

  def _input(
    self, x: jax.Array, size: int, channels: int, name: str, train: bool
  ) -> jax.Array:
    """An input of a cell in its channels and its size."""
    if x.shape[1] != size:
      return FactorizedReduce(channels, self.layers, name=name)(x, train)
    y = self.layers.conv(channels, (1, 1), name=name)(nn.relu(x))
    return self.layers.norm(use_running_average=not train, name=f"{name}_norm")(y)

  def _cell(
    self, index: int, cell: Cell, place: Place, inputs: list[jax.Array], train: bool
  ) -> jax.Array:
    nodes: dict[int, Any] = dict(enumerate(inputs))
    live = list(cell.live)
    for number, edge in enumerate(sorted(cell.edges)):
      if edge not in live:
        continue
      live.remove(edge)
      stride = 2 if place.is_reduction and edge.source < INPUTS else 1
      own = EdgeModule(
        OPERATIONS[edge.operation],
        place.channels,
        stride,
        self.layers,
        name=f"cell_{index}_edge_{number}",
      )
      y = own(nodes[edge.source], train)
      nodes[edge.target] = nodes[edge.target] + y if edge.target in nodes else y
    count, height, width, channels = inputs[0].shape
    if place.is_reduction:
      height, width = -(-height // 2), -(-width // 2)
    # The output keeps its width where a node computes nothing.
    zero = jnp.zeros((count, height, width, channels), inputs[0].dtype)
    return jnp.concatenate([nodes.get(n, zero) for n in cell.outputs], axis=-1)
