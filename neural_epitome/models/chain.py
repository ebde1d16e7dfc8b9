"""A chain of blocks of one kind, each written out: what a search over them finds.

A block has a kernel size, a width and an operation of its own. One without hidden
channels is its bypass alone: the block is left out, and what it reads goes on to the
next (NetAdaptV2, arXiv 2104.00031, section 2.2: channel-level bypass).
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.domains import Count, Decay, Stride, Whole
from neural_epitome.errors import UserError
from neural_epitome.models import ends, functions
from neural_epitome.models.base import Layers, ModelConfig
from neural_epitome.models.block import Block, BlockConfig, BlockShape
from neural_epitome.models.block_module import BlockModule, conv_layer, normed_conv
from neural_epitome.models.blocks import InvertedResidual
from neural_epitome.models.layer_specs import Channels

# Whether a block has squeeze-and-excitation.
OPERATIONS = ("plain", "squeeze_excite")


@dataclasses.dataclass(frozen=True)
class ChainBlock:
  """The numbers of one block of a chain.

  Attributes:
    features: output channels; a block without hidden channels has at most so many.
    hidden: channels inside; 0 leaves all layers of the block out.
    window: height and width of the spatial kernels, odd.
    stride: of the block.
    operation: see `OPERATIONS`.
    shortcut: whether its input is added to its output, channels that the input has
      not as zeros; needs stride 1.
  """

  features: Count
  hidden: Whole
  window: Stride = 3
  stride: Stride = 1
  operation: str = "plain"
  shortcut: bool = False

  def declare(self, kind: BlockConfig, inputs: int, squeeze: int) -> Block:
    """The block of a kind that reads so many channels; see `ChainConfig.squeeze`."""
    if not self.hidden:
      read, outputs = Channels("inputs", inputs), Channels("features", self.features)
      return Block(read, outputs, stride=self.stride)
    has_gate = self.operation == "squeeze_excite"
    shape = BlockShape(
      inputs,
      self.hidden,
      self.features,
      self.window,
      self.stride,
      squeezed=max(1, self.features // squeeze) if has_gate else 0,
      is_residual=self.shortcut,
    )
    return kind.declare(shape)


@dataclasses.dataclass(frozen=True)
class ChainConfig(ModelConfig):
  """A chain of blocks of one kind, between a stem and a head with a classifier.

  Attributes:
    blocks: from the first.
    stem: channels of the first convolution, 3x3.
    stem_stride: its stride.
    head: channels of the 1x1 convolution before the classifier.
    squeeze: input channels of a block for each squeezed one, where it has those.
    dropout: probability of dropping a feature before the classifier.
    block: kind of the blocks.
  """

  kind: ClassVar[str] = "chain"

  blocks: tuple[ChainBlock, ...] = ()
  stem: Count = 32
  stem_stride: Stride = 2
  head: Count = 1280
  squeeze: Count = 4
  dropout: Decay = 0.0
  block: BlockConfig = InvertedResidual()

  def build(self, classes: int, layers: Layers) -> nn.Module:
    """The Linen module; see `ModelConfig.build`."""
    for index, block in enumerate(self.blocks):
      where = f"model.blocks[{index}]"
      if min(block.features, block.stride) < 1 or block.hidden < 0:
        raise UserError(f"{where}={block} must have channels and a stride above 0.")
      if block.window % 2 != 1:
        raise UserError(f"{where}.window={block.window} must be odd.")
      if block.operation not in OPERATIONS:
        raise UserError(
          f"{where}.operation={block.operation!r} must be one of {list(OPERATIONS)}."
        )
      if block.shortcut and block.stride != 1:
        raise UserError(f"{where}: a shortcut needs stride 1, not {block.stride}.")
    return Chain(config=self, classes=classes, layers=layers)


class Chain(nn.Module):
  """The network: stem, `block_0` and on, head, classifier.

  Attributes:
    config: its arguments.
    classes: number of classes.
    layers: factories.
  """

  config: ChainConfig
  classes: int
  layers: Layers

  @nn.compact
  def __call__(
    self, images: jax.Array, train: bool = False, keys: jax.Array | None = None
  ) -> jax.Array:
    """Images (batch, height, width, channels) -> float32 logits (batch, classes)."""
    config, layers = self.config, self.layers
    stem = ends.stem(images.shape[-1], config.stem, config.stem_stride)
    x = normed_conv(stem, layers, images, train)
    for index, block in enumerate(config.blocks):
      declared = block.declare(config.block, x.shape[-1], config.squeeze)
      x = BlockModule(declared, layers, name=f"block_{index}")(x, train)
    head = ends.head(x.shape[-1], config.head, self.classes)
    last, classifier = (spec for _, spec in head.convolutions())
    x = functions.pool(normed_conv(last, layers, x, train))
    x = functions.dropout(x, keys, rate=config.dropout, train=train)
    return conv_layer(classifier, layers)(x).astype(jnp.float32)
