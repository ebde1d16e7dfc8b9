"""One branch of a multi-branch cell: the operations of NSE (arXiv 2011.10904)."""

import dataclasses
from typing import Any, ClassVar, Literal

from neural_epitome.domains import Count, Stride
from neural_epitome.models.block import Block, BlockConfig, BlockShape
from neural_epitome.models.layer_specs import Channels, ConvSpec


@dataclasses.dataclass(frozen=True)
class Branch(BlockConfig):
  """A 1x1 expansion, spatial convolutions, a linear 1x1 projection.

  Attributes:
    form: of what stands between both: `depthwise`, one with a kernel a channel;
      `factored`, a dense 1 x k one and then a k x 1; `dense`, one or more dense ones,
      of which the last strides.
    kernel_dilation: of the depthwise convolution.
    feature_group_counts: of the expansion and of the projection.
    count: of the dense convolutions.
  """

  kind: ClassVar[str] = "branch"

  form: Literal["depthwise", "factored", "dense"] = "depthwise"
  kernel_dilation: Stride = 1
  feature_group_counts: tuple[Count, Count] = (1, 1)
  count: Count = 1

  def declare(self, shape: BlockShape) -> Block:
    """The block of that shape; see `BlockConfig`."""
    inputs = Channels("inputs", shape.inputs)
    hidden = Channels("hidden", shape.hidden, shrinks=True)
    features = Channels("features", shape.features)
    first, last = self.feature_group_counts
    layers = (
      _normed("expand", inputs, hidden, feature_group_count=first, activation="relu"),
      *self._spatial(hidden, shape.kernel_size, shape.stride),
      _normed("project", hidden, features, feature_group_count=last),
    )
    shortcut = "identity" if shape.adds_input else "none"
    return Block(inputs, features, layers, shape.stride, shortcut)

  def _spatial(self, hidden: Channels, size: int, stride: int) -> list[ConvSpec]:
    """The convolutions between expansion and projection."""
    if self.form == "depthwise":
      geometry = {
        "kernel_dilation": self.kernel_dilation,
        "feature_group_count": hidden.count,
      }
      rows = [("depthwise", (size, size), stride, geometry)]
    elif self.form == "factored":
      rows = [
        ("row", (1, size), (1, stride), {}),
        ("column", (size, 1), (stride, 1), {}),
      ]
    else:
      strides = [1] * (self.count - 1) + [stride]
      rows = [
        (f"spatial_{index}", (size, size), step, {})
        for index, step in enumerate(strides)
      ]
    shared = {"activation": "relu", "kernel_shrinks": True}
    return [
      _normed(
        name, hidden, hidden, kernel_size=size, strides=step, **geometry, **shared
      )
      for name, size, step, geometry in rows
    ]


def _normed(name: str, inputs: Channels, outputs: Channels, **options: Any) -> ConvSpec:
  return ConvSpec(name, inputs, outputs, norm=f"{name}_norm", **options)
