"""A block of a network as data: its layers, their channels and where it may shrink.

A block is declared once, by a file of `models.blocks`. What else there is of it follows
from the declaration: the network (`block_module`), the supernet that holds its narrower
forms (`spaces.supernet`), their weights (`spaces.slicing`) and prices
(`spaces.cost_model`), how their kernels are stored (`spaces.chain_generators`), and the
channels that pruning may leave out (`channel_group`).
"""

import abc
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Literal

from neural_epitome import codec
from neural_epitome.errors import UserError
from neural_epitome.models.base import ChannelGroup

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
    found = []
    for count, taps, stride in zip(
      size, self.kernel_size, self.spatial_strides, strict=True
    ):
      reach = (taps - 1) * self.kernel_dilation
      padding = (taps - 1) // 2 * self.kernel_dilation
      found.append((count + 2 * padding - reach - 1) // stride + 1)
    return tuple(found)


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
    """Both, 1x1, of the pooled input."""
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
  """The sum of each so many channels that stand beside each other.

  Attributes:
    count: channels of one sum.
  """

  count: int


Layer = ConvSpec | SqueezeExciteSpec | RepeatChannels | SumChannels


@dataclasses.dataclass(frozen=True)
class Block:
  """Layers one behind the other, and a shortcut around them.

  Attributes:
    inputs: channels that it reads.
    features: channels that it makes.
    layers: in order. A block without layers is left out: what it reads goes on, less
      the channels beyond `features`, averaged where the block would stride.
    stride: of the whole block.
    shortcut: what is added to the output of the last layer: nothing, the input (with
      zeros for channels that it lacks), or a projection of it.
    activation: of the sum.
  """

  inputs: Channels
  features: Channels
  layers: tuple[Layer, ...] = ()
  stride: int = 1
  shortcut: ConvSpec | Literal["none", "identity"] = "none"
  activation: Activation = "none"

  def convolutions(self) -> Iterator[tuple[str, ConvSpec]]:
    """Path in the block and declaration of every convolution, in order."""
    for layer in self.layers:
      if isinstance(layer, ConvSpec):
        yield layer.name, layer
      elif isinstance(layer, SqueezeExciteSpec):
        for spec in layer.convolutions:
          yield f"{layer.name}/{spec.name}", spec
    if isinstance(self.shortcut, ConvSpec):
      yield self.shortcut.name, self.shortcut

  @property
  def hidden(self) -> Channels:
    """The channels that shrink; those of a block that is left out are none."""
    for _, spec in self.convolutions():
      for channels in (spec.inputs, spec.outputs):
        if channels.shrinks:
          return channels
    return Channels("hidden", 0, shrinks=True)

  def rated(self) -> list[tuple[str, ConvSpec, int]]:
    """The kernels that a search may store small: path, declaration and axis.

    The axis is that of the hidden channels, see `ConvSpec.shrinking_axis`.
    """
    found = [(path, spec, spec.shrinking_axis) for path, spec in self.convolutions()]
    return [(path, spec, axis) for path, spec, axis in found if axis is not None]

  def check_shrinks(self, where: str) -> None:
    """Raises UserError, naming the field `where`, if there are no narrower forms."""
    if not self.hidden.count:
      raise UserError(f"{where} declares no channels that shrink.")
    for path, spec in self.convolutions():
      shrinks = spec.inputs.shrinks or spec.outputs.shrinks
      if shrinks and spec.feature_group_count not in (1, spec.inputs.count):
        raise UserError(
          f"{where}: {path} has {spec.feature_group_count} groups, of which a narrower "
          "block would cut some; it must be depthwise or have one group."
        )


@dataclasses.dataclass(frozen=True)
class BlockShape:
  """What a network asks of a block, whatever its kind.

  Attributes:
    inputs: channels that it reads.
    hidden: channels inside.
    features: channels that it makes.
    kernel_size: height and width of its spatial kernels, odd.
    stride: of the block.
    squeezed: squeezed channels of a squeeze-and-excitation; 0 leaves it out.
    is_residual: whether the input itself is added to the output; None is where it has
      the same shape.
    expands: whether a layer makes the hidden channels; without it they are the inputs.
  """

  inputs: int
  hidden: int
  features: int
  kernel_size: int = 3
  stride: int = 1
  squeezed: int = 0
  is_residual: bool | None = None
  expands: bool = True

  @property
  def adds_input(self) -> bool:
    """`is_residual`, decided."""
    if self.is_residual is not None:
      return self.is_residual
    return self.stride == 1 and self.inputs == self.features


class BlockConfig(codec.Variant, abc.ABC):
  """A kind of block and its options; each arm is a frozen dataclass and one file."""

  @abc.abstractmethod
  def declare(self, shape: BlockShape) -> Block:
    """The block of that shape."""


def channel_group(name: str, prefix: str, block: Block) -> ChannelGroup:
  """The hidden channels of a block as pruning sees them.

  Args:
    name: of the group.
    prefix: of the block's parameter paths, with the slash.
    block: with hidden channels.

  Raises:
    UserError: if a kernel has the hidden channels on two axes.
  """
  members, norms, consumer = {}, [], None
  for path, spec in block.convolutions():
    if spec.inputs.shrinks and not spec.is_grouped:
      if spec.outputs.shrinks:
        raise UserError(
          f"{prefix}{path} both reads and makes the block's hidden channels: it cannot "
          "be pruned."
        )
      members[f"{prefix}{path}/kernel"] = -2
      consumer = path, spec
    if spec.outputs.shrinks:
      members[f"{prefix}{path}/kernel"] = -1
      norms += [] if spec.norm is None else [f"{prefix}{spec.norm}"]
  path, spec = consumer
  behind = None if spec.norm is None else f"{prefix}{spec.norm}"
  return ChannelGroup(name, members, tuple(norms), f"{prefix}{path}/kernel", behind)


def middle(shape: Sequence[int], size: Sequence[int]) -> tuple[slice, ...]:
  """Where a kernel of spatial `size` lies in the middle of one of spatial `shape`."""
  pairs = zip(shape, size, strict=True)
  return tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in pairs)
