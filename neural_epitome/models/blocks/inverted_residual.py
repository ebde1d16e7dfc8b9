"""The inverted residual of MobileNetV2 (arXiv 1801.04381), MBConv of EfficientNet."""

import dataclasses
from typing import ClassVar

from neural_epitome.domains import Count
from neural_epitome.models.block import Block, BlockConfig, BlockShape
from neural_epitome.models.layer_specs import (
  Activation,
  Channels,
  ConvSpec,
  Layer,
  RepeatChannels,
  SqueezeExciteSpec,
  SumChannels,
)


@dataclasses.dataclass(frozen=True)
class InvertedResidual(BlockConfig):
  """1x1 expansion, depthwise convolution, linear 1x1 projection.

  Attributes:
    activation: behind expansion and depthwise convolution.
    depth_multiplier: channels that the depthwise convolution makes of each of its
      input's, where there is an expansion, which then has so many times fewer.
    sums_multiplied: whether the channels made of one are added before the projection.
    groups_squeeze: see `SqueezeExciteSpec.is_grouped`.
  """

  kind: ClassVar[str] = "inverted_residual"

  activation: Activation = "relu6"
  depth_multiplier: Count = 1
  sums_multiplied: bool = True
  groups_squeeze: bool = False

  def declare(self, shape: BlockShape) -> Block:
    """The block of that shape; see `BlockConfig`."""
    inputs = Channels("inputs", shape.inputs)
    features = Channels("features", shape.features)
    multiplier = self.depth_multiplier if shape.expands else 1
    expanded = hidden = inputs
    layers: list[Layer] = []
    if shape.expands:
      count = -(-shape.hidden // multiplier)
      expanded = hidden = Channels("hidden", count, shrinks=multiplier == 1)
      layers.append(
        ConvSpec(
          "expand", inputs, expanded, norm="expand_norm", activation=self.activation
        )
      )
    if multiplier > 1:
      # A depthwise convolution of repeated channels is one with a multiplier, and on
      # a CPU several times faster.
      layers.append(RepeatChannels(multiplier))
      hidden = Channels("multiplied", expanded.count * multiplier)
    layers.append(
      ConvSpec(
        "depthwise",
        hidden,
        hidden,
        (shape.kernel_size,) * 2,
        shape.stride,
        feature_group_count=hidden.count,
        norm="depthwise_norm",
        activation=self.activation,
        kernel_shrinks=True,
      )
    )
    if multiplier > 1 and self.sums_multiplied:
      layers.append(SumChannels(multiplier))
      hidden = expanded
    if shape.squeezed:
      squeezed = Channels("squeezed", shape.squeezed)
      layers.append(SqueezeExciteSpec("se", hidden, squeezed, self.groups_squeeze))
    layers.append(
      ConvSpec("project", hidden, features, norm="project_norm", linear=True)
    )
    shortcut = "identity" if shape.adds_input else "none"
    return Block(inputs, features, tuple(layers), shape.stride, shortcut)
