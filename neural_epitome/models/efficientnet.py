"""EfficientNet-B0 and B1 (arXiv 1905.11946), as the published torch model has them.

Two options of the networks that were searched for epitomes shrink what epitomes
leave alone: squeeze-and-excitation with grouped convolutions, and a grouped
classifier (specialised halves or quarters of the features, each for its classes).
"""

import dataclasses
import math
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.errors import UserError
from neural_epitome.models import blocks
from neural_epitome.models.base import Layers, ModelConfig
from neural_epitome.models.squeeze_excite import SqueezeExcite

# Expansion, kernel size, channels and blocks of each stage: table 1 of the paper.
STAGES = (
  (1, 3, 16, 1),
  (6, 3, 24, 2),
  (6, 5, 40, 2),
  (6, 3, 80, 3),
  (6, 5, 112, 3),
  (6, 5, 192, 4),
  (6, 3, 320, 1),
)

# Width and depth multipliers.
VARIANTS = {"b0": (1.0, 1.0), "b1": (1.0, 1.1)}


@dataclasses.dataclass(frozen=True)
class EfficientNetConfig(ModelConfig):
  """An EfficientNet; the default strides are ImageNet's, a total of 32.

  Attributes:
    variant: `b0` or `b1`, which has more blocks a stage.
    width: multiplier of the channels, over the variant's own.
    depth: multiplier of the blocks of each stage, over the variant's own.
    stem_stride: stride of the first convolution.
    stage_strides: stride of the first block of each of the seven stages.
    grouped_se: both convolutions of squeeze-and-excitation have as many groups
      as there are squeezed channels.
    classifier_groups: groups of the classifier; the released B1 epitome network
      has 4. They divide the head's channels and the number of classes.
    dropout: probability of dropping a feature before the classifier.
    drop_path: probability of skipping a residual branch, for the last block;
      it grows linearly from zero with the block's index.
  """

  kind: ClassVar[str] = "efficientnet"

  variant: Literal["b0", "b1"] = "b0"
  width: float = 1.0
  depth: float = 1.0
  stem_stride: int = 2
  stage_strides: tuple[int, ...] = (1, 2, 2, 2, 1, 2, 1)
  grouped_se: bool = False
  classifier_groups: int = 1
  dropout: float = 0.2
  drop_path: float = 0.2

  def build(self, classes: int, layers: Layers) -> nn.Module:
    """The Linen module; see `ModelConfig.build`."""
    blocks.check_strides(self.stage_strides, len(STAGES), "model.stage_strides")
    head = self.channels(1280)
    if self.classifier_groups < 1 or math.gcd(classes, head) % self.classifier_groups:
      raise UserError(
        f"model.classifier_groups={self.classifier_groups} must divide both the"
        f" {head} features and the {classes} classes."
      )
    return EfficientNet(config=self, classes=classes, layers=layers)

  def channels(self, count: int) -> int:
    """Channels of a layer that has `count` in B0."""
    return blocks.make_divisible(count * VARIANTS[self.variant][0] * self.width)

  def repeats(self, count: int) -> int:
    """Blocks of a stage that has `count` in B0."""
    return math.ceil(count * VARIANTS[self.variant][1] * self.depth)


class MBConv(nn.Module):
  """Inverted residual with squeeze-and-excitation and stochastic depth.

  Attributes:
    features: output channels.
    expansion: hidden over input channels; at 1 there is no expansion layer.
    kernel_size: height and width of the depthwise kernel.
    stride: of the depthwise convolution.
    grouped_se: see `EfficientNetConfig`.
    drop_path: probability of skipping the branch.
    index: the block's number, which tells its random masks from others'.
    layers: factories.
  """

  features: int
  expansion: int
  kernel_size: int
  stride: int
  grouped_se: bool
  drop_path: float
  index: int
  layers: Layers

  @nn.compact
  def __call__(self, x: jax.Array, train: bool, keys: jax.Array | None) -> jax.Array:
    """(batch, height, width, channels) -> the same, strided, `features` channels."""
    conv, norm, frozen = self.layers.conv, self.layers.norm, not train
    hidden, y = x.shape[-1] * self.expansion, x
    if self.expansion != 1:
      y = conv(hidden, (1, 1), name="expand")(y)
      y = nn.silu(norm(use_running_average=frozen, name="expand_norm")(y))
    y = conv(
      hidden,
      (self.kernel_size,) * 2,
      strides=self.stride,
      feature_group_count=hidden,
      name="depthwise",
    )(y)
    y = nn.silu(norm(use_running_average=frozen, name="depthwise_norm")(y))
    squeezed = max(1, x.shape[-1] // 4)
    y = SqueezeExcite(squeezed, self.layers, self.grouped_se, name="se")(y)
    y = conv(self.features, (1, 1), linear=True, name="project")(y)
    y = norm(use_running_average=frozen, name="project_norm")(y)
    if self.stride != 1 or x.shape[-1] != self.features:
      return y
    rate, layer = self.drop_path, self.index + 1
    return x + blocks.drop_path(y, keys, rate=rate, train=train, layer=layer)


class EfficientNet(nn.Module):
  """The network: stem, `block_0` and on, head, classifier.

  Attributes:
    config: its arguments.
    classes: number of classes.
    layers: factories.
  """

  config: EfficientNetConfig
  classes: int
  layers: Layers

  @nn.compact
  def __call__(
    self, images: jax.Array, train: bool = False, keys: jax.Array | None = None
  ) -> jax.Array:
    """Images (batch, height, width, channels) -> float32 logits (batch, classes)."""
    config, layers, frozen = self.config, self.layers, not train
    stem = config.channels(32)
    x = layers.conv(stem, (3, 3), strides=config.stem_stride, name="stem")(images)
    x = nn.silu(layers.norm(use_running_average=frozen, name="stem_norm")(x))
    repeats = [config.repeats(count) for *_, count in STAGES]
    for stage, index, stride in blocks.in_stages(repeats, config.stage_strides):
      expansion, kernel_size, channels, _ = STAGES[stage]
      block = MBConv(
        features=config.channels(channels),
        expansion=expansion,
        kernel_size=kernel_size,
        stride=stride,
        grouped_se=config.grouped_se,
        drop_path=config.drop_path * index / sum(repeats),
        index=index,
        layers=layers,
        name=f"block_{index}",
      )
      x = block(x, train, keys)
    x = layers.conv(config.channels(1280), (1, 1), name="head")(x)
    x = nn.silu(layers.norm(use_running_average=frozen, name="head_norm")(x))
    x = blocks.dropout(blocks.pool(x), keys, rate=config.dropout, train=train)
    if config.classifier_groups == 1:
      return layers.dense(self.classes, name="classifier")(x).astype(jnp.float32)
    groups, maps = config.classifier_groups, x[:, None, None, :]
    classifier = layers.conv(
      self.classes,
      (1, 1),
      feature_group_count=groups,
      use_bias=True,
      name="classifier",
    )
    return classifier(maps)[:, 0, 0].astype(jnp.float32)
