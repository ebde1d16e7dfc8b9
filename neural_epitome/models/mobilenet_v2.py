"""MobileNetV2 (arXiv 1801.04381), in the conventions of the published torch model.

Padding is explicit and symmetric, activations are ReLU6, channel counts are
multiples of eight and the head keeps 1280 channels for widths up to one.
"""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.models import blocks
from neural_epitome.models.base import Layers, ModelConfig

# Expansion, channels and blocks of each stage: table 2 of the paper.
STAGES = (
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
    stem_stride: stride of the first convolution.
    stage_strides: stride of the first block of each of the seven stages.
    dropout: probability of dropping a feature before the classifier.
  """

  kind: ClassVar[str] = "mobilenet_v2"

  width: float = 1.0
  depth: float = 1.0
  stem_stride: int = 2
  stage_strides: tuple[int, ...] = (1, 2, 2, 2, 1, 2, 1)
  dropout: float = 0.2

  def build(self, classes: int, layers: Layers) -> nn.Module:
    """The Linen module; see `ModelConfig.build`."""
    blocks.check_strides(self.stage_strides, len(STAGES), "model.stage_strides")
    return MobileNetV2(config=self, classes=classes, layers=layers)


class InvertedResidual(nn.Module):
  """1x1 expansion, 3x3 depthwise, linear 1x1 projection; a shortcut if it fits.

  Attributes:
    features: output channels.
    expansion: hidden over input channels; at 1 there is no expansion layer.
    stride: of the depthwise convolution.
    layers: factories.
  """

  features: int
  expansion: int
  stride: int
  layers: Layers

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    """(batch, height, width, channels) -> the same, strided, `features` channels."""
    conv, norm, frozen = self.layers.conv, self.layers.norm, not train
    hidden, y = x.shape[-1] * self.expansion, x
    if self.expansion != 1:
      y = conv(hidden, (1, 1), name="expand")(y)
      y = nn.relu6(norm(use_running_average=frozen, name="expand_norm")(y))
    y = conv(hidden, (3, 3), strides=self.stride, groups=hidden, name="depthwise")(y)
    y = nn.relu6(norm(use_running_average=frozen, name="depthwise_norm")(y))
    y = conv(self.features, (1, 1), name="project")(y)
    y = norm(use_running_average=frozen, name="project_norm")(y)
    fits = self.stride == 1 and x.shape[-1] == self.features
    return x + y if fits else y


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
    stem = blocks.make_divisible(32 * config.width)
    x = layers.conv(stem, (3, 3), strides=config.stem_stride, name="stem")(images)
    x = nn.relu6(layers.norm(use_running_average=not train, name="stem_norm")(x))
    repeats = [math.ceil(count * config.depth) for *_, count in STAGES]
    for stage, index, stride in blocks.in_stages(repeats, config.stage_strides):
      expansion, channels, _ = STAGES[stage]
      features = blocks.make_divisible(channels * config.width)
      name = f"block_{index}"
      x = InvertedResidual(features, expansion, stride, layers, name=name)(x, train)
    head = blocks.make_divisible(1280 * max(1.0, config.width))
    x = layers.conv(head, (1, 1), name="head")(x)
    x = nn.relu6(layers.norm(use_running_average=not train, name="head_norm")(x))
    x = blocks.dropout(blocks.pool(x), keys, rate=config.dropout, train=train)
    logits = layers.dense(self.classes, name="classifier")(x)
    return logits.astype(jnp.float32)
