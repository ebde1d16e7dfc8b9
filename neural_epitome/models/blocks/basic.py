"""The basic block of ResNet (arXiv 1512.03385)."""

import dataclasses
from typing import ClassVar, Literal

from neural_epitome.models.block import Block, BlockConfig, BlockShape
from neural_epitome.models.layer_specs import (
  Channels,
  ConvSpec,
  Layer,
  SqueezeExciteSpec,
)


@dataclasses.dataclass(frozen=True)
class Basic(BlockConfig):
  """Two convolutions around a shortcut, the first of which strides.

  Where the shape changes the shortcut is a 1x1 projection with batch norm.
  """

  kind: ClassVar[str] = "basic"

  def declare(self, shape: BlockShape) -> Block:
    """The block of that shape; see `BlockConfig`."""
    inputs = Channels("inputs", shape.inputs)
    hidden = Channels("hidden", shape.hidden, shrinks=True)
    features = Channels("features", shape.features)
    size, strides = (shape.kernel_size,) * 2, shape.stride
    shared = {"kernel_size": size, "kernel_shrinks": True}
    layers: list[Layer] = [
      ConvSpec(
        "conv_1",
        inputs,
        hidden,
        strides=strides,
        norm="norm_1",
        activation="relu",
        **shared,
      ),
      ConvSpec("conv_2", hidden, features, norm="norm_2", **shared),
    ]
    if shape.squeezed:
      squeezed = Channels("squeezed", shape.squeezed)
      layers.append(SqueezeExciteSpec("se", features, squeezed))
    return Block(
      inputs,
      features,
      tuple(layers),
      strides,
      projected(shape, inputs, features),
      "relu",
    )


def projected(
  shape: BlockShape, inputs: Channels, features: Channels
) -> ConvSpec | Literal["identity"]:
  """The shortcut: the input, or a projection where it has another shape."""
  if shape.adds_input:
    return "identity"
  name = "shortcut"
  return ConvSpec(name, inputs, features, strides=shape.stride, norm=f"{name}_norm")
