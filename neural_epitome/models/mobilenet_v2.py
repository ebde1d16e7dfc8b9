"""MobileNetV2 (arXiv 1801.04381), in the conventions of the published torch model.

Padding is explicit and symmetric, activations are ReLU6, channel counts are
multiples of eight and the head keeps 1280 channels for widths up to one.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.domains import Count, Decay, Factor, Stride
from neural_epitome.errors import UserError
from neural_epitome.models import ends, functions
from neural_epitome.models.base import ChannelGroup, Layers, ModelConfig
from neural_epitome.models.block import Block, BlockShape, channel_group
from neural_epitome.models.block_module import BlockModule, conv_layer, normed_conv
from neural_epitome.models.blocks import InvertedResidual

Stages = tuple[tuple[Count, Count, Count], ...]

# Expansion, channels and blocks of each stage: table 2 of the paper.
STAGES: Stages = (
  (1, 16, 1),
  (6, 24, 2),
  (6, 32, 3),
  (6, 64, 4),
  (6, 96, 3),
  (6, 160, 3),
  (6, 320, 1),
)


@dataclasses.dataclass(frozen=True)
class MobileNetV2Config(ModelConfig):
  """MobileNetV2 and the strides it walks through its input with.

  The defaults are ImageNet's, a total stride of 32. For images of about 28 px
  smaller strides keep some resolution, for example `stage_strides`
  (1, 2, 2, 1, 2, 1, 1), at the price of time.

  Attributes:
    width: multiplier of the channels of every layer but the classifier.
    depth: multiplier of the blocks of each stage, rounded up.
    stages: expansion, channels and blocks of each stage.
    stem: channels of the first convolution.
    head: channels of the 1x1 convolution before the classifier.
    head_shrinks: whether a width below one narrows the head too; in the paper it
      does not.
    divisor: channels are rounded to its multiples, and are at least so many.
    depth_multiplier: channels that the depthwise convolution makes of each of its
      input's. Above 1 the expansion has so many times fewer channels, and the
      channels made of one are added before the projection, which has as many times
      fewer weights. This is the network of an epitome that tiles the output of the
      expansion and the input of the projection, but for the batch norm between
      expansion and depthwise convolution: copies of a channel share its affine here
      and have their own there.
    sums_multiplied: without it the projection reads every channel, as is usual with
      a depth multiplier, and stores as much as without one.
    inner: exact hidden channels of each block, and of the head last, in place of
      what stages and widths say; the block's input channels where there is no
      expansion. None leaves them. This is what pruning of channels changes.
    stem_stride: stride of the first convolution.
    stage_strides: stride of the first block of each stage.
    dropout: probability of dropping a feature before the classifier.
  """

  kind: ClassVar[str] = "mobilenet_v2"

  width: Factor = 1.0
  depth: Factor = 1.0
  stages: Stages = STAGES
  stem: Count = 32
  head: Count = 1280
  head_shrinks: bool = False
  divisor: Count = 8
  depth_multiplier: Count = 1
  sums_multiplied: bool = True
  inner: tuple[Count, ...] | None = None
  stem_stride: Stride = 2
  stage_strides: tuple[Stride, ...] = (1, 2, 2, 2, 1, 2, 1)
  dropout: Decay = 0.2

  def build(self, classes: int, layers: Layers) -> nn.Module:
    """The Linen module; see `ModelConfig.build`."""
    functions.check_strides(self.stage_strides, len(self.stages), "model.stage_strides")
    self.check()
    return MobileNetV2(config=self, classes=classes, layers=layers)

  def check(self) -> None:
    """Raises UserError, naming the field, if there is no such network."""
    for name in ("stem", "head", "divisor", "depth_multiplier"):
      if getattr(self, name) < 1:
        raise UserError(f"model.{name}={getattr(self, name)} must be at least 1.")
    if any(min(stage) < 1 for stage in self.stages):
      raise UserError("model.stages must be rows of three positive numbers.")
    if self.inner is not None:
      functions.check_inner(self.inner, len(self.residuals()) + 1)
      for index, shape in enumerate(self.residuals()):
        if not shape.expands and shape.hidden != shape.inputs:
          raise UserError(
            f"model.inner={list(self.inner)}: block_{index} has no expansion, so its "
            f"hidden channels are its {shape.inputs} inputs."
          )

  def channels(self, count: int) -> int:
    """Channels of a layer that has `count` at width 1."""
    return functions.make_divisible(count * self.width, self.divisor)

  def head_channels(self) -> int:
    """Channels of the head."""
    if self.inner is not None:
      return self.inner[-1]
    scale = self.width if self.head_shrinks else max(1.0, self.width)
    return functions.make_divisible(self.head * scale, self.divisor)

  def block(self) -> InvertedResidual:
    """Kind of its blocks."""
    return InvertedResidual(
      depth_multiplier=self.depth_multiplier, sums_multiplied=self.sums_multiplied
    )

  def residuals(self) -> tuple[BlockShape, ...]:
    """Every inverted residual, from the first."""
    repeats = [math.ceil(count * self.depth) for *_, count in self.stages]
    residuals, inputs = [], self.channels(self.stem)
    for stage, index, stride in functions.in_stages(repeats, self.stage_strides):
      expansion, count, _ = self.stages[stage]
      hidden = inputs * expansion
      if self.inner is not None and index < len(self.inner):
        hidden = self.inner[index]
      features, expands = self.channels(count), expansion != 1
      shape = BlockShape(inputs, hidden, features, stride=stride, expands=expands)
      residuals.append(shape)
      inputs = features
    return tuple(residuals)

  def ends(self, classes: int) -> Block:
    """Head and classifier."""
    *_, last = self.residuals()
    return ends.head(last.features, self.head_channels(), classes)

  def channel_groups(self) -> tuple[ChannelGroup, ...]:
    """The head's channels and, with no depth multiplier, each expansion's."""
    groups = []
    for index, shape in enumerate(self.residuals()):
      name, block = f"block_{index}", self.block().declare(shape)
      if block.hidden.count:
        groups.append(channel_group(name, f"{name}/", block))
    # How many classes there are does not matter to the channels of the head.
    return (*groups, channel_group("head", "", self.ends(classes=1)))

  def narrowed(self, counts: Mapping[str, int]) -> "MobileNetV2Config":
    """The same network with so many channels in its groups; see `ModelConfig`."""
    inner = [
      counts.get(f"block_{index}", shape.hidden)
      for index, shape in enumerate(self.residuals())
    ]
    return dataclasses.replace(
      self, inner=(*inner, counts.get("head", self.head_channels()))
    )


# Five blocks for 28 px images on a small machine: 184 thousand parameters with ten
# classes, nine tenths of them in 1x1 kernels and classifier.
MBCONV = MobileNetV2Config(
  stages=((2, 32, 1), (6, 48, 2), (6, 64, 2)),
  stem=32,
  head=512,
  head_shrinks=True,
  stage_strides=(2, 2, 1),
  dropout=0.0,
)


class MobileNetV2(nn.Module):
  """The network: stem, `block_0` to `block_16`, head, classifier.

  Attributes:
    config: its arguments.
    classes: number of classes.
    layers: factories.
  """

  config: MobileNetV2Config
  classes: int
  layers: Layers

  @nn.compact
  def __call__(
    self, images: jax.Array, train: bool = False, keys: jax.Array | None = None
  ) -> jax.Array:
    """Images (batch, height, width, channels) -> float32 logits (batch, classes)."""
    config, layers = self.config, self.layers
    stem = config.channels(config.stem)
    stem = ends.stem(images.shape[-1], stem, config.stem_stride)
    x = normed_conv(stem, layers, images, train)
    for index, shape in enumerate(config.residuals()):
      block = config.block().declare(shape)
      x = BlockModule(block, layers, name=f"block_{index}")(x, train)
    head = config.ends(self.classes)
    last, classifier = (spec for _, spec in head.convolutions())
    x = functions.pool(normed_conv(last, layers, x, train))
    x = functions.dropout(x, keys, rate=config.dropout, train=train)
    return conv_layer(classifier, layers)(x).astype(jnp.float32)
