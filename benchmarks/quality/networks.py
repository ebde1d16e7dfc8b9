"""The networks of the comparison, and how each is trained."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.quality.images import CLASSES, SHAPE, SHEET, TRAIN
from benchmarks.quality.plain import PlainConfig
from benchmarks.quality.training import Recipe
from neural_epitome import models
from neural_epitome.cost import inventory as inventories
from neural_epitome.cost.inventory import Inventory
from neural_epitome.models import MobileNetV2Config, ModelConfig, ResNetConfig


@dataclasses.dataclass(frozen=True)
class Network:
  """A network and its training.

  Attributes:
    config: the architecture.
    epochs: of a training from scratch.
    sheets: of 10,000 training images each, from the first.
    recipe: see there.
  """

  config: ModelConfig
  epochs: int
  sheets: int
  recipe: Recipe = Recipe()

  @property
  def images(self) -> int:
    """That it is trained on."""
    return self.sheets * SHEET

  @property
  def names(self) -> tuple[str, ...]:
    """Of its training sheets."""
    return TRAIN[: self.sheets]


NETWORKS = {
  "plain": Network(PlainConfig(), epochs=12, sheets=2),
  "resnet20": Network(ResNetConfig(depth=20), epochs=30, sheets=5),
  # A 32 px image is walked through with a total stride of 8.
  "mobilenet_v2_05": Network(
    MobileNetV2Config(
      width=0.5, stem_stride=1, stage_strides=(1, 1, 2, 2, 1, 2, 1), dropout=0.0
    ),
    epochs=30,
    sheets=5,
  ),
}


@functools.cache
def dense_model(config: ModelConfig) -> Any:
  """The module with every kernel stored in full: one, so that it is compiled once."""
  return models.create(config, CLASSES)


@functools.cache
def inventory_of(config: ModelConfig) -> Inventory:
  """Every kernel of the architecture."""
  return inventories.take(dense_model(config), SHAPE)


def initial(model: Any, seed: int) -> Any:
  """Fresh variables."""
  init = jax.jit(model.init)
  return init(jax.random.key(seed), jnp.zeros((1, *SHAPE), jnp.float32))
