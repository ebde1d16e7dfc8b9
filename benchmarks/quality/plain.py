"""A plain stack of convolutions, small enough to be trained on two cores."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.models import functions
from neural_epitome.models.base import Layers, ModelConfig


@dataclasses.dataclass(frozen=True)
class PlainConfig(ModelConfig):
  """Six 3x3 convolutions, each with batch norm and ReLU, and a classifier.

  Two at each of three resolutions, the first of which is the image's; the first
  convolution of the other two strides. At width 1, 100 classes and three channels it
  has 664,756 parameters, 642,816 of them in the five kernels after the first.

  Attributes:
    width: multiplier of the channels.
    divisor: channels are rounded to its multiples, and are at least so many.
    channels: of each resolution, at width 1.
  """

  kind: ClassVar[str] = "plain"

  width: float = 1.0
  divisor: int = 8
  channels: tuple[int, ...] = (48, 96, 192)

  def build(self, classes: int, layers: Layers) -> nn.Module:
    """The Linen module; see `ModelConfig.build`."""
    return Plain(config=self, classes=classes, layers=layers)


class Plain(nn.Module):
  """The network: `stem`, `conv_1` to `conv_5`, classifier.

  Attributes:
    config: its arguments.
    classes: number of classes.
    layers: factories.
  """

  config: PlainConfig
  classes: int
  layers: Layers

  @nn.compact
  def __call__(
    self, images: jax.Array, train: bool = False, keys: jax.Array | None = None
  ) -> jax.Array:
    """Images (batch, height, width, channels) -> float32 logits (batch, classes)."""
    del keys
    config, x = self.config, images
    for index, base in enumerate(c for c in config.channels for _ in range(2)):
      features = functions.make_divisible(base * config.width, config.divisor)
      name = f"conv_{index}" if index else "stem"
      stride = 2 if index and index % 2 == 0 else 1
      x = self.layers.conv(features, (3, 3), strides=stride, name=name)(x)
      x = self.layers.norm(use_running_average=not train, name=f"{name}_norm")(x)
      x = nn.relu(x)
    x = self.layers.dense(self.classes, name="classifier")(functions.pool(x))
    return x.astype(jnp.float32)
