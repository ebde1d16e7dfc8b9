"""The vision transformer (Dosovitskiy et al. 2021, arXiv 2010.11929) and DeiT's sizes.

An image is cut into patches, each is one token, and a class token that goes before
them is what the classifier reads. DeiT (Touvron et al. 2021, arXiv 2012.12877, table 1)
has the same network in smaller sizes, without its distillation token here.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.domains import Count, Decay, Factor, Stride
from neural_epitome.errors import UserError
from neural_epitome.models.base import CLASSIFIER, Layers, ModelConfig
from neural_epitome.models.transformer_block import (
  INITIALIZER,
  TransformerBlock,
  layer_norm,
)

_STEM_INITIALIZER = nn.initializers.lecun_normal()


@dataclasses.dataclass(frozen=True)
class VisionTransformerConfig(ModelConfig):
  """A vision transformer; the defaults are DeiT-tiny.

  Images have the size of the run's data: positions are learned for that size alone.

  Attributes:
    patch: height and width of a patch, pixels; it divides those of the image.
    depth: blocks.
    embedding: channels of a token.
    heads: of attention; they divide `embedding`.
    mlp_ratio: channels inside of a block's MLP over `embedding`.
    drop_path: probability of skipping attention or MLP, for the last block;
      it grows linearly from zero with the block's index.
  """

  kind: ClassVar[str] = "vision_transformer"

  patch: Stride = 16
  depth: Count = 12
  embedding: Count = 192
  heads: Count = 3
  mlp_ratio: Factor = 4.0
  drop_path: Decay = 0.1

  def build(self, classes: int, layers: Layers) -> nn.Module:
    """The Linen module; see `ModelConfig.build`.

    Raises:
      UserError: if the heads do not divide the embedding, or nothing is left inside
        of the MLPs.
    """
    if self.embedding % self.heads:
      raise UserError(
        f"model.heads={self.heads} must divide model.embedding={self.embedding}."
      )
    if not self.hidden():
      raise UserError(
        f"model.mlp_ratio={self.mlp_ratio:g} leaves no channel of "
        f"model.embedding={self.embedding}: raise it."
      )
    return VisionTransformer(config=self, classes=classes, layers=layers)

  def hidden(self) -> int:
    """Channels inside of each MLP."""
    return int(self.embedding * self.mlp_ratio)


DEIT_TINY = VisionTransformerConfig()
DEIT_SMALL = VisionTransformerConfig(embedding=384, heads=6)
VIT_BASE = VisionTransformerConfig(embedding=768, heads=12)


class VisionTransformer(nn.Module):
  """The network: stem (the patches), `block_0` and on, norm, classifier.

  Attributes:
    config: its arguments.
    classes: number of classes.
    layers: factories.
  """

  config: VisionTransformerConfig
  classes: int
  layers: Layers

  @nn.compact
  def __call__(
    self, images: jax.Array, train: bool = False, keys: jax.Array | None = None
  ) -> jax.Array:
    """Images (batch, height, width, channels) -> float32 logits (batch, classes).

    Raises:
      UserError: if the patches do not divide the images, or these have another size
        than those that the positions are of.
    """
    config, layers = self.config, self.layers
    x = self._tokens(images)
    for index in range(config.depth):
      x = TransformerBlock(
        config.heads,
        config.hidden(),
        layers,
        drop_path=config.drop_path * index / max(1, config.depth - 1),
        noise=2 * index,
        name=f"block_{index}",
      )(x, train, keys)
    x = layer_norm("norm", x)[:, 0]
    logits = layers.dense(self.classes, kernel_init=INITIALIZER, name=CLASSIFIER)(x)
    return logits.astype(jnp.float32)

  def _tokens(self, images: jax.Array) -> jax.Array:
    """(batch, 1 + patches, embedding): class token and patches, positions added."""
    patch, channels = self.config.patch, self.config.embedding
    if images.ndim != 4:
      raise UserError(
        "A vision transformer reads images (height, width, channels), not inputs "
        f"{images.shape[1:]}; its config.data must be DataOptions."
      )
    height, width = images.shape[1:3]
    if height % patch or width % patch:
      raise UserError(
        f"model.patch={patch} must divide the image, {height} x {width} pixels: set "
        "config.data.image_size to one of its multiples."
      )
    x = self.layers.conv(
      channels,
      (patch, patch),
      strides=patch,
      padding="VALID",
      use_bias=True,
      kernel_init=_STEM_INITIALIZER,
      name="stem",
    )(images)
    x = x.reshape(x.shape[0], -1, channels)
    shape = (1, 1 + x.shape[1], channels)
    if self.has_variable("params", "positions"):
      known = self.get_variable("params", "positions").shape
      if known != shape:
        raise UserError(
          f"An image of {height} x {width} pixels has {shape[1] - 1} patches, and this "
          f"network positions for {known[1] - 1}: use images of its own size."
        )
    token = self.param("class_token", INITIALIZER, (1, 1, channels))
    positions = self.param("positions", INITIALIZER, shape)
    # The token joins its position, and no array has to be as long as the batch, which a
    # converter may take for a constant.
    added = jnp.concatenate([token + positions[:, :1], positions[:, 1:]], axis=1)
    return jnp.pad(x, ((0, 0), (1, 0), (0, 0))) + added.astype(x.dtype)
