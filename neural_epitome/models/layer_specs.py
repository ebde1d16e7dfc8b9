"""Layers of a block as data: convolutions, their channels and where they may shrink."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

Activation = Literal["none", "relu", "relu6", "silu"]


@dataclasses.dataclass(frozen=True)
class Channels:
  """An axis of channels: layers that name the same one have the same channels.

  Attributes:
    name: tells it from the others of the block.
    count: how many.
    shrinks: whether the block has narrower forms with fewer of them. A block has one
      such axis at most, its hidden channels.
  """

  name: str
  count: int
  shrinks: bool = False


@dataclasses.dataclass(frozen=True)
class ConvSpec:
  """A convolution or dense layer, the batch norm and the activation behind it.

  Attributes:
    name: of the layer's module.
    inputs: channels that it reads.
    outputs: channels that it makes.
    kernel_size: one number a spatial axis; () is a dense layer.
    strides: of all spatial axes, or one number each.
    kernel_dilation: of all spatial axes.
    feature_group_count: groups of channels; the input channels where the convolution is
      depthwise.
    use_bias: adds a bias to the outputs.
    norm: name of the batch norm's module; None where there is none.
    activation: behind the batch norm.
    linear: see `base.Layers.conv`.
    kernel_shrinks: whether the block has forms with a smaller kernel here, the middle
      of this one.
    rated: whether a search may store the kernel small.
  """

  name: str
  inputs: Channels
  outputs: Channels
  kernel_size: tuple[int, ...] = (1, 1)
  strides: int | tuple[int, ...] = 1
  kernel_dilation: int = 1
  feature_group_count: int = 1
  use_bias: bool = False
  norm: str | None = None
  activation: Activation = "none"
  linear: bool = False
  kernel_shrinks: bool = False
  rated: bool = True

  @property
  def is_grouped(self) -> bool:
    """Whether an output reads some of the inputs alone."""
    return self.feature_group_count > 1

  @property
  def kernel_shape(self) -> tuple[int, ...]:
    """(*kernel_size, inputs / groups, outputs)."""
    inputs = self.inputs.count // self.feature_group_count
    return (*self.kernel_size, inputs, self.outputs.count)

  @property
  def shrinking_axis(self) -> int | None:
    """The kernel's axis of hidden channels, where it stands between them and others.

    -1 where the kernel makes them and -2 where it reads them; None elsewhere, and where
    the kernel is not `rated`.
    """
    if not self.rated or self.inputs.shrinks == self.outputs.shrinks:
      return None
    return -1 if self.outputs.shrinks else -2

  @property
  def spatial_strides(self) -> tuple[int, ...]:
    """One number a spatial axis."""
    if isinstance(self.strides, int):
      return (self.strides,) * len(self.kernel_size)
    return self.strides

  def output_size(self, size: Sequence[int]) -> tuple[int, ...]:
    """Spatial size of the output, for that of the input; see `base.Layers.conv`."""
    sizes = []
    for count, taps, stride in zip(
      size, self.kernel_size, self.spatial_strides, strict=True
    ):
      reach = (taps - 1) * self.kernel_dilation
      padding = (taps - 1) // 2 * self.kernel_dilation
      sizes.append((count + 2 * padding - reach - 1) // stride + 1)
    return tuple(sizes)


@dataclasses.dataclass(frozen=True)
class SqueezeExciteSpec:
  """Squeeze-and-excitation (arXiv 1709.01507): each channel times a gate.

  Attributes:
    name: of the module.
    channels: that are scaled.
    squeezed: channels between its two convolutions.
    is_grouped: whether both have as many groups as there are squeezed channels.
  """

  name: str
  channels: Channels
  squeezed: Channels
  is_grouped: bool = False

  @property
  def convolutions(self) -> tuple[ConvSpec, ConvSpec]:
    """Its two 1x1 convolutions of the pooled input: reduction and expansion."""
    groups = self.squeezed.count if self.is_grouped else 1
    shared = {"feature_group_count": groups, "use_bias": True, "rated": False}
    return (
      ConvSpec("squeeze", self.channels, self.squeezed, activation="silu", **shared),
      ConvSpec("excite", self.squeezed, self.channels, **shared),
    )


@dataclasses.dataclass(frozen=True)
class RepeatChannels:
  """Copies of each channel, beside each other.

  Attributes:
    count: copies of one channel.
  """

  count: int


@dataclasses.dataclass(frozen=True)
class SumChannels:
  """Sums of neighbouring channels: each output channel adds up `count` inputs.

  Attributes:
    count: channels of one sum; it divides the number of channels.
  """

  count: int


Layer = ConvSpec | SqueezeExciteSpec | RepeatChannels | SumChannels


def middle(shape: Sequence[int], size: Sequence[int]) -> tuple[slice, ...]:
  """Where a kernel of spatial `size` lies in the middle of one of spatial `shape`."""
  pairs = zip(shape, size, strict=True)
  return tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in pairs)
