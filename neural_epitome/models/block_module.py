"""The network of a declared block: what each of its layers computes."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from neural_epitome.epitome import stream
from neural_epitome.models import functions
from neural_epitome.models.base import Layers
from neural_epitome.models.block import Block
from neural_epitome.models.layer_specs import (
  ConvSpec,
  RepeatChannels,
  SqueezeExciteSpec,
  SumChannels,
)

ACTIVATIONS = {
  "none": lambda x: x,
  "relu": nn.relu,
  "relu6": functions.relu6,
  "silu": nn.silu,
}


def conv_layer(spec: ConvSpec, layers: Layers) -> nn.Module:
  """The layer of a declaration, without its batch norm and activation."""
  if not spec.kernel_size:
    return layers.dense(spec.outputs.count, use_bias=spec.use_bias, name=spec.name)
  return layers.conv(
    spec.outputs.count,
    spec.kernel_size,
    strides=spec.strides,
    kernel_dilation=spec.kernel_dilation,
    feature_group_count=spec.feature_group_count,
    use_bias=spec.use_bias,
    linear=spec.linear,
    name=spec.name,
  )


def normed_conv(spec: ConvSpec, layers: Layers, x: jax.Array, train: bool) -> jax.Array:
  """Applies a declared layer, its batch norm and its activation to `x`.

  Their modules are children of the module that is running.
  """
  y = conv_layer(spec, layers)(x)
  if spec.norm is not None:
    y = layers.norm(use_running_average=not train, name=spec.norm)(y)
  return ACTIVATIONS[spec.activation](y)


class SqueezeExcite(nn.Module):
  """Scales each channel by a gate computed from the pooled input.

  Attributes:
    spec: its channels.
    layers: factories.
  """

  spec: SqueezeExciteSpec
  layers: Layers

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(batch, height, width, channels) -> the same shape."""
    gate = functions.pool(x)[:, None, None, :]
    for spec in self.spec.convolutions:
      gate = normed_conv(spec, self.layers, gate, train=False)
    return x * nn.sigmoid(gate)


class BlockModule(nn.Module):
  """A block that computes what its declaration says.

  Attributes:
    block: the declaration.
    layers: factories.
    drop_path: probability of skipping the layers, in training, where the input is added
      to their output (stochastic depth).
    noise: constant folded into the keys, different for each block with a `drop_path`.
  """

  block: Block
  layers: Layers
  drop_path: float = 0.0
  noise: int = 0

  @nn.compact
  def __call__(
    self, x: jax.Array, train: bool = False, keys: jax.Array | None = None
  ) -> jax.Array:
    """(batch, height, width, inputs) -> the same, strided, `features` channels."""
    block, layers, features = self.block, self.layers, self.block.features.count
    if not block.layers:
      is_whole = block.stride == 1 and x.shape[-1] <= features
      return x if is_whole else bypass(stream.full(x), features, block.stride)
    y = x
    for layer in block.layers:
      match layer:
        case ConvSpec():
          y = normed_conv(layer, layers, y, train)
        case SqueezeExciteSpec():
          y = SqueezeExcite(layer, layers, name=layer.name)(y)
        case RepeatChannels():
          y = jnp.repeat(y, layer.count, axis=-1)
        case SumChannels():
          y = jnp.sum(y.reshape(*y.shape[:-1], -1, layer.count), axis=-1)
    if isinstance(block.shortcut, ConvSpec):
      y = normed_conv(block.shortcut, layers, x, train) + y
    elif block.shortcut == "identity":
      rate, noise = self.drop_path, self.noise
      y = functions.drop_path(y, keys, rate=rate, train=train, layer=noise)
      # The same channels, or fewer where blocks before it are left out.
      y = (x if x.shape == y.shape else widen(stream.full(x), features)) + y
    return ACTIVATIONS[block.activation](y)


def bypass(x: jax.Array, features: int, stride: int) -> jax.Array:
  """What a block that is left out hands on (NetAdaptV2, arXiv 2104.00031, section 2.2).

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
  """`x` with channels of zeros behind its own, so that it has `channels` of them."""
  missing = channels - x.shape[-1]
  return jnp.pad(x, ((0, 0),) * (x.ndim - 1) + ((0, missing),)) if missing else x
