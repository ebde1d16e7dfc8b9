"""The bottleneck of ResNet-50 (arXiv 1512.03385), its stride on the middle (v1.5)."""

import dataclasses
from typing import ClassVar

from neural_epitome.models.block import Block, BlockConfig, BlockShape
from neural_epitome.models.blocks.basic import projected
from neural_epitome.models.layer_specs import (
  Channels,
  ConvSpec,
  Layer,
  SqueezeExciteSpec,
)


@dataclasses.dataclass(frozen=True)
class Bottleneck(BlockConfig):
  """1x1 reduction, spatial convolution and 1x1 expansion around a shortcut.

  Where the shape changes the shortcut is a 1x1 projection with batch norm.
  """

  kind: ClassVar[str] = "bottleneck"

  def declare(self, shape: BlockShape) -> Block:
    """The block of that shape; see `BlockConfig`."""
    inputs = Channels("inputs", shape.inputs)
    hidden = Channels("hidden", shape.hidden, shrinks=True)
    features = Channels("features", shape.features)
    layers: list[Layer] = [
      ConvSpec("conv_1", inputs, hidden, norm="norm_1", activation="relu"),
      ConvSpec(
        "conv_2",
        hidden,
        hidden,
        (shape.kernel_size,) * 2,
        shape.stride,
        norm="norm_2",
        activation="relu",
        kernel_shrinks=True,
      ),
      ConvSpec("conv_3", hidden, features, norm="norm_3"),
    ]
    if shape.squeezed:
      squeezed = Channels("squeezed", shape.squeezed)
      layers.append(SqueezeExciteSpec("se", features, squeezed))
    shortcut = projected(shape, inputs, features)
    return Block(inputs, features, tuple(layers), shape.stride, shortcut, "relu")
