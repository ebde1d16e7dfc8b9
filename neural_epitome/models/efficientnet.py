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

from neural_epitome.domains import Count, Decay, Factor, Stride
from neural_epitome.errors import UserError
from neural_epitome.models import ends, functions
from neural_epitome.models.base import Layers, ModelConfig
from neural_epitome.models.block import BlockShape
from neural_epitome.models.block_module import BlockModule, conv_layer, normed_conv
from neural_epitome.models.blocks import InvertedResidual
from neural_epitome.models.layer_specs import Activation

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
  width: Factor = 1.0
  depth: Factor = 1.0
  stem_stride: Stride = 2
  stage_strides: tuple[Stride, ...] = (1, 2, 2, 2, 1, 2, 1)
  grouped_se: bool = False
  classifier_groups: Count = 1
  dropout: Decay = 0.2
  drop_path: Decay = 0.2

  def build(self, classes: int, layers: Layers) -> nn.Module:
    """The Linen module; see `ModelConfig.build`."""
    functions.check_strides(self.stage_strides, len(STAGES), "model.stage_strides")
    head = self.channels(1280)
    if self.classifier_groups < 1 or math.gcd(classes, head) % self.classifier_groups:
      raise UserError(
        f"model.classifier_groups={self.classifier_groups} must divide both the"
        f" {head} features and the {classes} classes."
      )
    return EfficientNet(config=self, classes=classes, layers=layers)

  def channels(self, count: int) -> int:
    """Channels of a layer that has `count` in B0."""
    return functions.make_divisible(count * VARIANTS[self.variant][0] * self.width)

  def repeats(self, count: int) -> int:
    """Blocks of a stage that has `count` in B0."""
    return math.ceil(count * VARIANTS[self.variant][1] * self.depth)

  def shapes(self) -> list[tuple[BlockShape, float]]:
    """Every block, and the probability of skipping it."""
    repeats = [self.repeats(count) for *_, count in STAGES]
    shapes, inputs = [], self.channels(32)
    for stage, index, stride in functions.in_stages(repeats, self.stage_strides):
      expansion, kernel_size, channels, _ = STAGES[stage]
      shape = BlockShape(
        inputs,
        inputs * expansion,
        self.channels(channels),
        kernel_size,
        stride,
        squeezed=max(1, inputs // 4),
        expands=expansion != 1,
      )
      shapes.append((shape, self.drop_path * index / sum(repeats)))
      inputs = shape.features
    return shapes


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
    config, layers = self.config, self.layers
    silu: Activation = "silu"
    stem = config.channels(32)
    stem = ends.stem(images.shape[-1], stem, config.stem_stride, activation=silu)
    x = normed_conv(stem, layers, images, train)
    kind = InvertedResidual(groups_squeeze=config.grouped_se, activation=silu)
    for index, (shape, drop_path) in enumerate(config.shapes()):
      name, noise = f"block_{index}", index + 1
      block = BlockModule(kind.declare(shape), layers, drop_path, noise, name=name)
      x = block(x, train, keys)
    features = config.channels(1280)
    head = ends.head(x.shape[-1], features, self.classes, activation=silu)
    last, classifier = (spec for _, spec in head.convolutions())
    x = functions.pool(normed_conv(last, layers, x, train))
    x = functions.dropout(x, keys, rate=config.dropout, train=train)
    if config.classifier_groups == 1:
      return conv_layer(classifier, layers)(x).astype(jnp.float32)
    groups, maps = config.classifier_groups, x[:, None, None, :]
    classifier = dataclasses.replace(
      classifier, kernel_size=(1, 1), feature_group_count=groups
    )
    return conv_layer(classifier, layers)(maps)[:, 0, 0].astype(jnp.float32)
