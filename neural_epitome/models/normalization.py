"""Batch norm with the variables and the meaning of `flax.linen.BatchNorm`.

It differs in spelling. Channels are scaled and shifted by two numbers each, so the
backward pass needs two sums over the activations in place of three; and arithmetic
on activations of half precision is in float32, converted where it is written. And it
takes a mask of the channels that each example has, for a batch whose examples belong to
networks of different widths.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.epitome import stream
from neural_epitome.epitome.stream import Replicated, Stream


class BatchNorm(nn.Module):
  """Normalises each channel (the last axis) over all others.

  Attributes:
    use_running_average: use the moving averages in place of the batch's own
      statistics, as evaluation does.
    momentum: share of the old value in one step of the moving averages.
    epsilon: added to the variance.
    dtype: of the result; None is that of the input.
    axis_name: mesh axis over which the batch's statistics are averaged.
  """

  use_running_average: bool
  momentum: float = 0.99
  epsilon: float = 1e-5
  dtype: Any = None
  axis_name: str | None = None

  @nn.compact
  def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """(batch, ..., channels) -> the same shape.

    Args:
      x: activations.
      mask: (batch, channels), 1.0 where an example has a channel and 0.0 where not:
        the batch's statistics are those of the examples that have it, and a channel
        that none has keeps the moving averages. None is 1.0 everywhere.
    """
    channels = (x.shape[-1],)
    scale = self.param("scale", nn.initializers.ones, channels, jnp.float32)
    bias = self.param("bias", nn.initializers.zeros, channels, jnp.float32)
    mean = self.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
    variance = self.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)
    wide = x.astype(jnp.float32)
    if self.use_running_average:
      mean_now, variance_now = mean.value, variance.value
    else:
      averages = mean.value, variance.value
      mean_now, variance_now = self._statistics(wide, mask, averages)
      if not self.is_initializing():
        for average, now in ((mean, mean_now), (variance, variance_now)):
          kept = self.momentum * average.value
          average.value = kept + (1.0 - self.momentum) * now
    factor = scale * jax.lax.rsqrt(variance_now + self.epsilon)
    offset = bias - mean_now * factor
    shape = (1,) * (x.ndim - 1) + channels
    y = wide * factor.reshape(shape) + offset.reshape(shape)
    return y.astype(self.dtype or x.dtype)

  def _statistics(
    self, x: jax.Array, mask: jax.Array | None, averages: tuple[jax.Array, jax.Array]
  ) -> tuple[jax.Array, jax.Array]:
    """Mean and variance of each channel over the batch of this device or of all."""
    axes = tuple(range(x.ndim - 1))
    share = None
    weighted = x
    if mask is not None:
      share = jnp.mean(mask, axis=0)
      weighted = x * mask.reshape(mask.shape[0], *(1,) * (x.ndim - 2), -1)
    moments = jnp.mean(weighted, axes), jnp.mean(weighted * x, axes)
    if self.axis_name is not None and not self.is_initializing():
      moments, share = jax.lax.pmean((moments, share), self.axis_name)
    mean, square = moments
    if share is not None:
      is_seen = share > 0
      some = jnp.where(is_seen, share, 1.0)
      mean, square = mean / some, square / some
    # Rounding can leave a constant channel slightly below zero.
    variance = jnp.maximum(square - mean * mean, 0.0)
    if share is None:
      return mean, variance
    old_mean, old_variance = averages
    mean = jnp.where(is_seen, mean, old_mean)
    return mean, jnp.where(is_seen, variance, old_variance)


class Affine(nn.Module):
  """A batch norm of a network that only runs, its statistics merged into it.

  Each channel is scaled and shifted; only shifted where there is no parameter `scale`,
  as where the layer before it has taken that in.

  Attributes:
    use_running_average: must be true: there is no other.
    dtype: of the result; None is that of the input.
  """

  use_running_average: bool
  dtype: Any = None

  @nn.compact
  def __call__(self, x: jax.Array | Stream) -> jax.Array | Stream:
    """(batch, ..., channels) -> the same shape; of a stream, one."""
    assert self.use_running_average
    channels, scale = (x.shape[-1],), None
    if self.has_variable("params", "scale"):
      scale = self.param("scale", nn.initializers.ones, channels, jnp.float32)
    bias = self.param("bias", nn.initializers.zeros, channels, jnp.float32)
    if isinstance(x, Replicated):
      return x.scaled(scale, bias)
    y = stream.full(x).astype(jnp.float32)
    shape = (1,) * (x.ndim - 1) + channels
    y = y if scale is None else y * scale.reshape(shape)
    return (y + bias.reshape(shape)).astype(self.dtype or x.dtype)
