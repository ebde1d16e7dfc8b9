"""A block of a network as data: its layers, their channels and where it may shrink.

A block is declared once, by a file of `models.blocks`. What else there is of it follows
from the declaration: the network (`block_module`), the supernet that holds its narrower
forms (`spaces.supernet`), their weights (`spaces.slicing`) and prices
(`spaces.cost_model`), how their kernels are stored (`spaces.chain_generators`), and the
channels that pruning may leave out (`channel_group`).
"""

import abc
import dataclasses
from collections.abc import Iterator
from typing import Literal

from neural_epitome import codec
from neural_epitome.errors import UserError
from neural_epitome.models.base import ChannelGroup
from neural_epitome.models.layer_specs import (
  Activation,
  Channels,
  ConvSpec,
  Layer,
  SqueezeExciteSpec,
)


@dataclasses.dataclass(frozen=True)
class Block:
  """The declaration of a block: layers in sequence, and a shortcut around them.

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
    convolutions = [
      (path, spec, spec.shrinking_axis) for path, spec in self.convolutions()
    ]
    return [(path, spec, axis) for path, spec, axis in convolutions if axis is not None]

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
    """Whether the input is added: `is_residual`, or where that is None, by shape."""
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
    UserError: if a kernel has the hidden channels on two axes, or none reads them.
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
  if consumer is None:
    raise UserError(f"{prefix} has no kernel that reads its hidden channels alone.")
  path, spec = consumer
  behind = None if spec.norm is None else f"{prefix}{spec.norm}"
  return ChannelGroup(name, members, tuple(norms), f"{prefix}{path}/kernel", behind)
