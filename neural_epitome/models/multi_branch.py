"""Networks of several branches a cell, averaged: what NSE searches and retrains.

Neural Search-space Evolution (ICCV 2021, arXiv 2011.10904). A cell's branches are a few
operations of one pool, numbered as published architectures are written.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.errors import UserError
from neural_epitome.models import ends, functions
from neural_epitome.models.base import Layers, ModelConfig
from neural_epitome.models.block import Block, BlockShape
from neural_epitome.models.block_module import BlockModule, normed_conv
from neural_epitome.models.blocks import Branch
from neural_epitome.models.layer_specs import Channels, ConvSpec


@dataclasses.dataclass(frozen=True)
class Operation:
  """One operation of a pool.

  Attributes:
    kernel_size: height and width.
    expansion: channels of the branch over its input's.
    branch: what it is made of.
  """

  kernel_size: int
  expansion: int
  branch: Branch

  def declare(self, inputs: int, features: int, stride: int) -> Block:
    """The branch of a cell with these channels and stride."""
    hidden, size = self.expansion * inputs, self.kernel_size
    return self.branch.declare(
      BlockShape(inputs, hidden, features, size, stride, is_residual=False)
    )


def _depthwise(sizes: Sequence[int], dilations: Sequence[int]) -> list[Operation]:
  return [
    Operation(size, expansion, Branch("depthwise", dilation))
    for size in sizes
    for expansion in (1, 3, 6)
    for dilation in (dilations if size == 3 else (1,))
  ]


_FACTORED = [Operation(k, t, Branch("factored")) for k in (5, 7) for t in (1, 2, 4)]
_MADDS = _depthwise((3, 5, 7, 9, 11), (1, 2, 3)) + _FACTORED
_GROUPED = [
  Operation(size, expansion, Branch("depthwise", feature_group_counts=groups))
  for size in (3, 5, 7, 9, 11)
  for expansion in (1, 3, 6)
  for groups in ((1, 2), (2, 1), (2, 2))
]
_GPU = [
  *_depthwise((3, 5, 7), (1,)),
  *(Operation(3, t, Branch("dense", count=count)) for count in (1, 2) for t in (1, 2)),
  *_FACTORED,
]
# `madds` has the 27 candidates of the first space, `grouped` the 72 of the second,
# which begin with them, `gpu` the 19 of the one that is searched for latency.
POOLS = {"madds": _MADDS, "grouped": _MADDS + _GROUPED, "gpu": _GPU}
Pool = Literal["madds", "grouped", "gpu"]


@dataclasses.dataclass(frozen=True)
class Stage:
  """Cells of one width.

  Attributes:
    features: channels.
    stride: of the first cell, which comes from the width before.
    cells: that follow it, and keep width and size.
  """

  features: int
  stride: int
  cells: int


@dataclasses.dataclass(frozen=True)
class MultiBranchConfig(ModelConfig):
  """Stem, cells of some operations each, head, classifier.

  Attributes:
    pool: of the operations.
    cells: indices of each cell's operations in the pool. One that keeps width and size
      may have none, and hands on what it reads.
    stem: channels of the first convolution.
    stem_cells: cells that keep them.
    stages: of the cells after those.
    width: factor of the stages' channels, rounded to multiples of 8.
    head: channels of the 1x1 convolution before the classifier, which has a bias in
      place of a batch norm.
    dropout: probability of dropping a feature before the classifier.
  """

  kind: ClassVar[str] = "multi_branch"

  pool: Pool = "madds"
  cells: tuple[tuple[int, ...], ...] = ((0,), (4, 9))
  stem: int = 16
  stem_cells: int = 1
  stages: tuple[Stage, ...] = (Stage(24, 2, 0),)
  width: float = 1.0
  head: int = 1024
  dropout: float = 0.0

  def build(self, classes: int, layers: Layers) -> nn.Module:
    """The Linen module; see `ModelConfig.build`."""
    places, count = self.places(), len(POOLS[self.pool])
    if len(self.cells) != len(places):
      raise UserError(
        f"model.cells has {len(self.cells)} cells, and model.stem_cells with "
        f"model.stages asks for {len(places)}."
      )
    for index, (chosen, place) in enumerate(zip(self.cells, places, strict=True)):
      where = f"model.cells[{index}]={list(chosen)}"
      if len(set(chosen)) != len(chosen) or not all(0 <= k < count for k in chosen):
        raise UserError(f"{where} must be different numbers from 0 to {count - 1}.")
      for number in chosen:
        first, last = POOLS[self.pool][number].branch.feature_group_counts
        if place.inputs % first or place.inputs % last or place.features % last:
          raise UserError(
            f"{where}: operation {number} has {first} and {last} groups, which do not "
            f"divide {place.inputs} input and {place.features} output channels."
          )
      if not chosen and not place.is_residual:
        raise UserError(f"{where} changes width or size, and needs an operation.")
    return MultiBranch(config=self, classes=classes, layers=layers)

  def places(self) -> list["Place"]:
    """Width and stride of every cell."""
    found, inputs = [Place(self.stem, self.stem, 1)] * self.stem_cells, self.stem
    for stage in self.stages:
      features = functions.make_divisible(stage.features * self.width)
      found.append(Place(inputs, features, stage.stride))
      found += [Place(features, features, 1)] * stage.cells
      inputs = features
    return found


@dataclasses.dataclass(frozen=True)
class Place:
  """Input channels, output channels and stride of a cell."""

  inputs: int
  features: int
  stride: int

  @property
  def is_residual(self) -> bool:
    """Whether its input is one of what is averaged."""
    return self.stride == 1 and self.inputs == self.features


class MultiBranch(nn.Module):
  """The network: stem, `cell_0` and on with a module a branch, head, classifier.

  Attributes:
    config: its arguments.
    classes: number of classes.
    layers: factories.
  """

  config: MultiBranchConfig
  classes: int
  layers: Layers

  @nn.compact
  def __call__(
    self, images: jax.Array, train: bool = False, keys: jax.Array | None = None
  ) -> jax.Array:
    """Images (batch, height, width, channels) -> float32 logits (batch, classes)."""
    config, layers = self.config, self.layers
    pool = POOLS[config.pool]
    stem = ends.stem(images.shape[-1], config.stem, 2, activation="relu")
    x = normed_conv(stem, layers, images, train)
    for index, (chosen, place) in enumerate(
      zip(config.cells, config.places(), strict=True)
    ):
      averaged = [x] if place.is_residual else []
      for number in chosen:
        block = pool[number].declare(place.inputs, place.features, place.stride)
        branch = BlockModule(block, layers, name=f"cell_{index}_branch_{number}")
        averaged.append(branch(x, train))
      x = sum(averaged[1:], averaged[0]) / len(averaged)
    read, made = Channels("inputs", x.shape[-1]), Channels("head", config.head)
    head = ConvSpec("head", read, made, use_bias=True, activation="relu")
    x = functions.pool(normed_conv(head, layers, x, train))
    x = functions.dropout(x, keys, rate=config.dropout, train=train)
    return layers.dense(self.classes, name="classifier")(x).astype(jnp.float32)
