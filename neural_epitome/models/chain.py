"""A chain of inverted residuals, each written out: what a search over them finds.

The blocks of MobileNetV2, with a window, a width and an operation of their own. One
without hidden channels is its bypass alone: the block is left out, and what it reads
goes on to the next (NetAdaptV2, arXiv 2104.00031, section 2.2: channel-level bypass).
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from neural_epitome.epitome import stream
from neural_epitome.errors import UserError
from neural_epitome.models import blocks
from neural_epitome.models.base import Layers, ModelConfig
from neural_epitome.models.squeeze_excite import SqueezeExcite

# What stands between a block's depthwise convolution and its projection.
OPERATIONS = ("plain", "squeeze_excite")


@dataclasses.dataclass(frozen=True)
class ChainBlock:
  """One inverted residual.

  Attributes:
    features: output channels; a block without hidden channels has at most so many.
    hidden: channels after expansion and depthwise convolution; 0 leaves both and the
      projection out.
    window: height and width of the depthwise kernel, odd.
    stride: of the depthwise convolution.
    operation: see `OPERATIONS`.
    shortcut: whether its input is added to its output, channels that the input has
      not as zeros; needs stride 1.
  """

  features: int
  hidden: int
  window: int = 3
  stride: int = 1
  operation: str = "plain"
  shortcut: bool = False


@dataclasses.dataclass(frozen=True)
class ChainConfig(ModelConfig):
  """Stem, blocks, head and classifier.

  Attributes:
    blocks: from the first.
    stem: channels of the first convolution, 3x3.
    stem_stride: its stride.
    head: channels of the 1x1 convolution before the classifier.
    squeeze: input channels of a block for each squeezed one, where it has those.
    dropout: probability of dropping a feature before the classifier.
  """

  kind: ClassVar[str] = "chain"

  blocks: tuple[ChainBlock, ...] = ()
  stem: int = 32
  stem_stride: int = 2
  head: int = 1280
  squeeze: int = 4
  dropout: float = 0.0

  def build(self, classes: int, layers: Layers) -> nn.Module:
    """The Linen module; see `ModelConfig.build`."""
    for index, block in enumerate(self.blocks):
      where = f"model.blocks[{index}]"
      if min(block.features, block.stride) < 1 or block.hidden < 0:
        raise UserError(f"{where}={block} must have channels and a stride above 0.")
      if block.window % 2 != 1:
        raise UserError(f"{where}.window={block.window} must be odd.")
      if block.operation not in OPERATIONS:
        raise UserError(
          f"{where}.operation={block.operation!r} must be one of {list(OPERATIONS)}."
        )
      if block.shortcut and block.stride != 1:
        raise UserError(f"{where}: a shortcut needs stride 1, not {block.stride}.")
    return Chain(config=self, classes=classes, layers=layers)


def bypass(x: jax.Array, features: int, stride: int) -> jax.Array:
  """What a block without hidden channels hands on.

  Args:
    x: (batch, height, width, channels).
    features: output channels of the block.
    stride: of the block; positions that it would skip are averaged.

  Returns:
    The first `features` channels of x, or all it has, at the output's resolution.
  """
  if stride > 1:
    steps = (1, stride, stride, 1)
    zero = np.zeros((), x.dtype)
    x = jax.lax.reduce_window(x, zero, jax.lax.add, steps, steps, "SAME") / stride**2
  return x[..., :features]


def widen(x: jax.Array, channels: int) -> jax.Array:
  """`x` with zeros for the channels that it has not."""
  missing = channels - x.shape[-1]
  return jnp.pad(x, ((0, 0),) * (x.ndim - 1) + ((0, missing),)) if missing else x


class InvertedResidual(nn.Module):
  """1x1 expansion, depthwise convolution, linear 1x1 projection, or a bypass.

  Attributes:
    block: its channels, window and stride.
    squeeze: see `ChainConfig`.
    layers: factories.
  """

  block: ChainBlock
  squeeze: int
  layers: Layers

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
    """(batch, height, width, channels) -> the block's output."""
    conv, norm, frozen = self.layers.conv, self.layers.norm, not train
    block = self.block
    if not block.hidden:
      is_whole = block.stride == 1 and x.shape[-1] <= block.features
      return x if is_whole else bypass(stream.full(x), block.features, block.stride)
    hidden = block.hidden
    y = conv(hidden, (1, 1), name="expand")(x)
    y = blocks.relu6(norm(use_running_average=frozen, name="expand_norm")(y))
    y = conv(
      hidden,
      (block.window,) * 2,
      strides=block.stride,
      feature_group_count=hidden,
      name="depthwise",
    )(y)
    y = blocks.relu6(norm(use_running_average=frozen, name="depthwise_norm")(y))
    if block.operation == "squeeze_excite":
      squeezed = max(1, block.features // self.squeeze)
      y = SqueezeExcite(squeezed, self.layers, name="se")(y)
    y = conv(block.features, (1, 1), linear=True, name="project")(y)
    y = norm(use_running_average=frozen, name="project_norm")(y)
    if not block.shortcut:
      return y
    # The same channels, or fewer where blocks before it are left out.
    return y + (x if x.shape == y.shape else widen(stream.full(x), block.features))


class Chain(nn.Module):
  """The network: stem, `block_0` and on, head, classifier.

  Attributes:
    config: its arguments.
    classes: number of classes.
    layers: factories.
  """

  config: ChainConfig
  classes: int
  layers: Layers

  @nn.compact
  def __call__(
    self, images: jax.Array, train: bool = False, keys: jax.Array | None = None
  ) -> jax.Array:
    """Images (batch, height, width, channels) -> float32 logits (batch, classes)."""
    config, layers, frozen = self.config, self.layers, not train
    x = layers.conv(config.stem, (3, 3), strides=config.stem_stride, name="stem")(
      images
    )
    x = blocks.relu6(layers.norm(use_running_average=frozen, name="stem_norm")(x))
    for index, block in enumerate(config.blocks):
      residual = InvertedResidual(block, config.squeeze, layers, name=f"block_{index}")
      x = residual(x, train)
    x = layers.conv(config.head, (1, 1), name="head")(x)
    x = blocks.relu6(layers.norm(use_running_average=frozen, name="head_norm")(x))
    x = blocks.dropout(blocks.pool(x), keys, rate=config.dropout, train=train)
    return layers.dense(self.classes, name="classifier")(x).astype(jnp.float32)
