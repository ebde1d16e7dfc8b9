"""Two convolutions and a classifier."""

import dataclasses
from typing import ClassVar

from flax import linen as nn

from neural_epitome.models import Layers, ModelConfig


class TwoLayers(nn.Module):
  """See `TwoLayersConfig`."""

  width: int
  classes: int
  layers: Layers

  @nn.compact
  def __call__(self, x, *, train=False, keys=None):
    """(batch, height, width, channels) -> (batch, classes)."""
    for index, stride in enumerate((1, 2)):
      name = f"layer_{index}"
      x = self.layers.conv(self.width, (3, 3), strides=stride, name=name)(x)
      x = self.layers.norm(use_running_average=not train, name=f"norm_{index}")(x)
      x = nn.relu(x)
    return self.layers.dense(self.classes, name="classifier")(x.mean(axis=(1, 2)))


@dataclasses.dataclass(frozen=True)
class TwoLayersConfig(ModelConfig):
  """Two convolutions of a width."""

  kind: ClassVar[str] = "two_layers"

  width: int = 8

  def build(self, classes, layers):
    """See `ModelConfig.build`."""
    return TwoLayers(self.width, classes, layers)
