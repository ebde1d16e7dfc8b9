"""ResNet-20 (the CIFAR network of arXiv 1512.03385), ResNet-18 and ResNet-50 (v1.5).

ResNet-20, and the smallest of its family, ResNet-8, have two 3x3 convolutions a block
and 16, 32 and 64 channels; where the shape changes the shortcut is a 1x1 projection
with batch norm (the paper's option B; the published CIFAR figures use option A, zero
padding, 2,720 parameters less).
ResNet-18 and -50 are the published torch models: basic blocks with projections, and
bottlenecks whose stride sits on the 3x3 convolution.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.domains import Count, Decay, Factor, Stride
from neural_epitome.errors import UserError
from neural_epitome.models import ends, functions
from neural_epitome.models.base import ChannelGroup, Layers, ModelConfig
from neural_epitome.models.block import Block, BlockShape, channel_group
from neural_epitome.models.block_module import BlockModule, normed_conv
from neural_epitome.models.blocks import Basic, Bottleneck

# Stem channels, kernel size and stride, pooling stride; channels, blocks and strides of
# the stages; output over inner channels of a block.
_SHAPES = {
  8: (16, 3, 1, 1, (16, 32, 64), (1, 1, 1), (1, 2, 2), 1),
  18: (64, 7, 2, 2, (64, 128, 256, 512), (2, 2, 2, 2), (1, 2, 2, 2), 1),
  20: (16, 3, 1, 1, (16, 32, 64), (3, 3, 3), (1, 2, 2), 1),
  50: (64, 7, 2, 2, (64, 128, 256, 512), (3, 4, 6, 3), (1, 2, 2, 2), 4),
}


@dataclasses.dataclass(frozen=True)
class ResNetConfig(ModelConfig):
  """A residual network of basic (8, 18, 20) or bottleneck (50) blocks.

  A stride that is None is the published one: ResNet-8 and -20 divide the image by 4,
  ResNet-18 and -50 by 32 (small images want stem_stride=1, pool_stride=1).

  Attributes:
    depth: 8 or 20 for CIFAR-sized images, 18 or 50 for ImageNet's.
    width: multiplier of the channels of every layer but the classifier.
    divisor: channels are rounded to its multiples, and are at least so many.
    inner: exact inner channels of each block, in place of what the width says; None
      leaves them. This is what pruning of channels changes.
    stem_stride: stride of the first convolution.
    pool_stride: stride of the 3x3 max pool after the stem; 1 leaves it out.
    stage_strides: stride of the first block of each stage, 3 or 4 of them.
    dropout: probability of dropping a feature before the classifier.
  """

  kind: ClassVar[str] = "resnet"

  depth: Literal[8, 18, 20, 50] = 20
  width: Factor = 1.0
  divisor: Count = 8
  inner: tuple[Count, ...] | None = None
  stem_stride: Stride | None = None
  pool_stride: Stride | None = None
  stage_strides: tuple[Stride, ...] | None = None
  dropout: Decay = 0.0

  def build(self, classes: int, layers: Layers) -> nn.Module:
    """The Linen module; see `ModelConfig.build`."""
    if self.stage_strides is not None:
      expected = len(_SHAPES[self.depth][4])
      functions.check_strides(self.stage_strides, expected, "model.stage_strides")
    if self.divisor < 1:
      raise UserError(f"model.divisor={self.divisor} must be at least 1.")
    if self.inner is not None:
      functions.check_inner(self.inner, sum(self.repeats()))
    return ResNet(config=self, classes=classes, layers=layers)

  def channels(self, count: int) -> int:
    """Channels of a layer that has `count` at width 1."""
    return functions.make_divisible(count * self.width, self.divisor)

  def repeats(self) -> tuple[int, ...]:
    """Blocks of each stage."""
    return _SHAPES[self.depth][5]

  def inner_channels(self) -> tuple[int, ...]:
    """Inner channels of each block."""
    if self.inner is not None:
      return self.inner
    channels, repeats = _SHAPES[self.depth][4:6]
    stages = zip(channels, repeats, strict=True)
    return tuple(self.channels(count) for count, n in stages for _ in range(n))

  def blocks(self) -> tuple[Block, ...]:
    """Every block, from the first."""
    stem, _, _, _, channels, repeats, strides, expansion = _SHAPES[self.depth]
    kind, inner = Basic() if expansion == 1 else Bottleneck(), self.inner_channels()
    strides = self.stage_strides or strides
    blocks, inputs = [], self.channels(stem)
    for stage, index, stride in functions.in_stages(repeats, strides):
      features = self.channels(channels[stage]) * expansion
      shape = BlockShape(inputs, inner[index], features, stride=stride)
      blocks.append(kind.declare(shape))
      inputs = features
    return tuple(blocks)

  def channel_groups(self) -> tuple[ChannelGroup, ...]:
    """Inner channels of every block. Raises UserError for bottleneck blocks."""
    if self.depth == 50:
      raise UserError("model.depth=50: only networks of basic blocks can be pruned.")
    return tuple(
      channel_group(f"block_{index}", f"block_{index}/", block)
      for index, block in enumerate(self.blocks())
    )

  def narrowed(self, counts: Mapping[str, int]) -> "ResNetConfig":
    """The same network with so many inner channels; see `ModelConfig`."""
    inner = enumerate(self.inner_channels())
    return dataclasses.replace(
      self, inner=tuple(counts.get(f"block_{i}", channels) for i, channels in inner)
    )


class ResNet(nn.Module):
  """The network: stem, `block_0` and on, classifier.

  Attributes:
    config: its arguments.
    classes: number of classes.
    layers: factories.
  """

  config: ResNetConfig
  classes: int
  layers: Layers

  @nn.compact
  def __call__(
    self, images: jax.Array, train: bool = False, keys: jax.Array | None = None
  ) -> jax.Array:
    """Images (batch, height, width, channels) -> float32 logits (batch, classes)."""
    config, layers = self.config, self.layers
    stem, size, stride, pooling, *_ = _SHAPES[config.depth]
    stem, stride = config.channels(stem), config.stem_stride or stride
    pooling = config.pool_stride or pooling
    first = ends.stem(
      images.shape[-1], stem, stride, kernel_size=size, activation="relu"
    )
    x = normed_conv(first, layers, images, train)
    if pooling > 1:
      # Flax annotates the padding by its default, a string.
      margins: Any = ((1, 1), (1, 1))
      x = nn.max_pool(x, (3, 3), strides=(pooling,) * 2, padding=margins)
    for index, block in enumerate(config.blocks()):
      x = BlockModule(block, layers, name=f"block_{index}")(x, train)
    x = functions.dropout(functions.pool(x), keys, rate=config.dropout, train=train)
    return layers.dense(self.classes, name="classifier")(x).astype(jnp.float32)
