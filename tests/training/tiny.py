"""A network of three layers and an experiment of seconds, for the tests here."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.config import Config, OptimizerOptions, TrainingOptions
from neural_epitome.data.options import Augmentation, DataOptions
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.models import functions
from neural_epitome.models.base import Layers, ModelConfig
from neural_epitome.planning.rate import RatePlanner


@dataclasses.dataclass(frozen=True)
class TinyConfig(ModelConfig):
  """Two convolutions with batch norm, dropout, a classifier."""

  kind: ClassVar[str] = "tiny_for_tests"

  features: int = 8
  dropout: float = 0.0

  def build(self, classes: int, layers: Layers) -> nn.Module:
    return Tiny(self, classes, layers)


class Tiny(nn.Module):
  config: TinyConfig
  classes: int
  layers: Layers

  @nn.compact
  def __call__(self, images, train=False, keys=None):
    features, x = self.config.features, images
    for index, width in enumerate((features, 2 * features)):
      x = self.layers.conv(width, (3, 3), strides=2, name=f"conv_{index}")(x)
      x = self.layers.norm(use_running_average=not train, name=f"norm_{index}")(x)
      x = nn.relu(x)
    x = jnp.mean(x, axis=(1, 2))
    x = functions.dropout(x, keys, rate=self.config.dropout, train=train)
    return self.layers.dense(self.classes, name="classifier")(x).astype(jnp.float32)


def experiment(**training) -> Config:
  """Ten steps an epoch of 16 images from epitomes, indices learned."""
  return Config(
    name="tiny",
    model=TinyConfig(dropout=0.1),
    planner=RatePlanner(rate=2.0, rule=EpitomeRule(side="both", margin=1)),
    indices=IndexOptions(source="learner", hidden=4),
    data=DataOptions(
      train_split="train[:160]",
      evaluation_split="test[:50]",
      batch_size=16,
      evaluation_batch_size=20,
      augmentation=Augmentation(flip=True, mixup=0.2),
    ),
    optimizer=OptimizerOptions(warmup_epochs=0.3),
    training=TrainingOptions(
      **{
        "epochs": 1.2,
        "ema_decay": 0.9,
        "frozen_fraction": 0.25,
        "reestimation_batches": 2,
        "log_every": 1,
        "evaluate_every": 0.5,
        "checkpoint_every": 0.0,
        "keep_checkpoints": 20,
        "tensorboard": False,
      }
      | training
    ),
  )
