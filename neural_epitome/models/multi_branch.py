"""Networks of several branches a cell, averaged: what NSE searches and retrains.

Neural Search-space Evolution (ICCV 2021, arXiv 2011.10904). A cell's branches are a few
operations of one pool, numbered as published architectures are written.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.domains import Count, Decay, Factor, Stride, Whole
from neural_epitome.errors import UserError
from neural_epitome.models import ends, functions
from neural_epitome.models.base import CLASSIFIER, Layers, ModelConfig
from neural_epitome.models.block import Block
from neural_epitome.models.block_module import BlockModule, conv_layer, normed_conv
from neural_epitome.models.layer_specs import Channels, ConvSpec
from neural_epitome.models.operation_pools import POOLS, Pool


@dataclasses.dataclass(frozen=True)
class Stage:
  """Cells of one width.

  Attributes:
    features: channels.
    stride: of the first cell, which comes from the width before.
    cells: that follow it, and keep width and size.
  """

  features: Count
  stride: Stride
  cells: Whole


@dataclasses.dataclass(frozen=True)
class MultiBranchConfig(ModelConfig):
  """A network of cells whose operations run side by side and are averaged.

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
  cells: tuple[tuple[Whole, ...], ...] = ((0,), (4, 9))
  stem: Count = 16
  stem_cells: Whole = 1
  stages: tuple[Stage, ...] = (Stage(24, 2, 0),)
  width: Factor = 1.0
  head: Count = 1024
  dropout: Decay = 0.0

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
        operation = POOLS[self.pool][number]
        if not operation.fits(place.inputs, place.features):
          first, last = operation.branch.feature_group_counts
          raise UserError(
            f"{where}: operation {number} has {first} and {last} groups, which do not "
            f"divide {place.inputs} input and {place.features} output channels."
          )
      if not chosen and not place.is_residual:
        raise UserError(f"{where} changes width or size, and needs an operation.")
    return MultiBranch(config=self, classes=classes, layers=layers)

  def ends(self, channels: int, classes: int) -> tuple[Block, Block]:
    """Stem, and head with classifier, of images with so many channels."""
    first = ends.stem(channels, self.stem, 2, activation="relu")
    features = [self.stem, *(place.features for place in self.places())]
    read = Channels("inputs", features[-1])
    hidden, last = Channels("head", self.head), Channels("classes", classes)
    layers = (
      ConvSpec("head", read, hidden, use_bias=True, activation="relu"),
      ConvSpec(CLASSIFIER, hidden, last, kernel_size=(), use_bias=True),
    )
    return Block(first.inputs, first.outputs, (first,)), Block(read, last, layers)

  def places(self) -> list["Place"]:
    """Width and stride of every cell."""
    places, inputs = [Place(self.stem, self.stem, 1)] * self.stem_cells, self.stem
    for stage in self.stages:
      features = functions.make_divisible(stage.features * self.width)
      places.append(Place(inputs, features, stage.stride))
      places += [Place(features, features, 1)] * stage.cells
      inputs = features
    return places


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
    before, behind = config.ends(images.shape[-1], self.classes)
    stem, head, classifier = (
      spec for block in (before, behind) for _, spec in block.convolutions()
    )
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
    x = functions.pool(normed_conv(head, layers, x, train))
    x = functions.dropout(x, keys, rate=config.dropout, train=train)
    return conv_layer(classifier, layers)(x).astype(jnp.float32)
