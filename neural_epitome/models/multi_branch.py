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
from neural_epitome.models import blocks
from neural_epitome.models.base import Layers, ModelConfig


@dataclasses.dataclass(frozen=True)
class Operation:
  """One branch: a 1x1 expansion, spatial convolutions, a linear 1x1 projection.

  Attributes:
    form: of what stands between both: `depthwise`, one with a kernel a channel;
      `factored`, dense ones of 1 x kernel_size and of kernel_size x 1; `dense`, one
      or more dense ones, of which the last strides.
    kernel_size: height and width.
    expansion: channels in between over the input's.
    kernel_dilation: of the depthwise convolution.
    feature_group_counts: of the expansion and of the projection.
    count: of the dense convolutions.
  """

  form: Literal["depthwise", "factored", "dense"]
  kernel_size: int
  expansion: int
  kernel_dilation: int = 1
  feature_group_counts: tuple[int, int] = (1, 1)
  count: int = 1


def _depthwise(sizes: Sequence[int], dilations: Sequence[int]) -> list[Operation]:
  return [
    Operation("depthwise", size, expansion, dilation)
    for size in sizes
    for expansion in (1, 3, 6)
    for dilation in (dilations if size == 3 else (1,))
  ]


_FACTORED = [Operation("factored", k, t) for k in (5, 7) for t in (1, 2, 4)]
_MADDS = _depthwise((3, 5, 7, 9, 11), (1, 2, 3)) + _FACTORED
_GROUPED = [
  Operation("depthwise", size, expansion, feature_group_counts=groups)
  for size in (3, 5, 7, 9, 11)
  for expansion in (1, 3, 6)
  for groups in ((1, 2), (2, 1), (2, 2))
]
_GPU = [
  *_depthwise((3, 5, 7), (1,)),
  *(Operation("dense", 3, t, count=count) for count in (1, 2) for t in (1, 2)),
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
        first, last = POOLS[self.pool][number].feature_group_counts
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
      features = blocks.make_divisible(stage.features * self.width)
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


class Branch(nn.Module):
  """One operation.

  Attributes:
    operation: what it is.
    place: where it stands.
    layers: factories.
  """

  operation: Operation
  place: Place
  layers: Layers

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    """(batch, height, width, inputs) -> the same, strided, `features` channels."""
    operation, place = self.operation, self.place
    hidden = operation.expansion * place.inputs

    def normed(x: jax.Array, features: int, name: str, **options) -> jax.Array:
      size = options.pop("kernel_size", (1, 1))
      x = self.layers.conv(features, size, name=name, **options)(x)
      return self.layers.norm(use_running_average=not train, name=f"{name}_norm")(x)

    first, last = operation.feature_group_counts
    x = nn.relu(normed(x, hidden, "expand", feature_group_count=first))
    for name, options in _spatial(operation, place.stride, hidden):
      x = nn.relu(normed(x, hidden, name, **options))
    return normed(x, place.features, "project", feature_group_count=last)


def _spatial(operation: Operation, stride: int, hidden: int) -> list[tuple[str, dict]]:
  """Names and options of the convolutions between expansion and projection."""
  size = operation.kernel_size
  if operation.form == "depthwise":
    options = {
      "kernel_size": (size, size),
      "strides": stride,
      "kernel_dilation": operation.kernel_dilation,
      "feature_group_count": hidden,
    }
    return [("depthwise", options)]
  if operation.form == "factored":
    return [
      ("row", {"kernel_size": (1, size), "strides": (1, stride)}),
      ("column", {"kernel_size": (size, 1), "strides": (stride, 1)}),
    ]
  strides = [1] * (operation.count - 1) + [stride]
  return [
    (f"spatial_{index}", {"kernel_size": (size, size), "strides": step})
    for index, step in enumerate(strides)
  ]


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
    x = layers.conv(config.stem, (3, 3), strides=2, name="stem")(images)
    x = nn.relu(layers.norm(use_running_average=not train, name="stem_norm")(x))
    for index, (chosen, place) in enumerate(
      zip(config.cells, config.places(), strict=True)
    ):
      averaged = [x] if place.is_residual else []
      for number in chosen:
        name = f"cell_{index}_branch_{number}"
        averaged.append(Branch(pool[number], place, layers, name=name)(x, train))
      x = sum(averaged[1:], averaged[0]) / len(averaged)
    x = nn.relu(layers.conv(config.head, (1, 1), use_bias=True, name="head")(x))
    x = blocks.dropout(blocks.pool(x), keys, rate=config.dropout, train=train)
    return layers.dense(self.classes, name="classifier")(x).astype(jnp.float32)
