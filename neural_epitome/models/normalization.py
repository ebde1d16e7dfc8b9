"""Batch norm with the variables and the meaning of `flax.linen.BatchNorm`.

It differs in spelling. Channels are scaled and shifted by two numbers each, so the
backward pass needs two sums over the activations in place of three; and arithmetic
on activations of half precision is in float32, converted where it is written.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn


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
  def __call__(self, x: jax.Array) -> jax.Array:
    """(batch, ..., channels) -> the same shape."""
    channels = (x.shape[-1],)
    scale = self.param("scale", nn.initializers.ones, channels, jnp.float32)
    bias = self.param("bias", nn.initializers.zeros, channels, jnp.float32)
    mean = self.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
    variance = self.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)
    wide = x.astype(jnp.float32)
    if self.use_running_average:
      mean_now, variance_now = mean.value, variance.value
    else:
      mean_now, variance_now = self._statistics(wide)
      if not self.is_initializing():
        for average, now in ((mean, mean_now), (variance, variance_now)):
          kept = self.momentum * average.value
          average.value = kept + (1.0 - self.momentum) * now
    factor = scale * jax.lax.rsqrt(variance_now + self.epsilon)
    offset = bias - mean_now * factor
    shape = (1,) * (x.ndim - 1) + channels
    y = wide * factor.reshape(shape) + offset.reshape(shape)
    return y.astype(self.dtype or x.dtype)

  def _statistics(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and variance of each channel over the batch of this device or of all."""
    axes = tuple(range(x.ndim - 1))
    moments = jnp.mean(x, axes), jnp.mean(x * x, axes)
    if self.axis_name is not None and not self.is_initializing():
      moments = jax.lax.pmean(moments, self.axis_name)
    mean, square = moments
    # Rounding can leave a constant channel slightly below zero.
    return mean, jnp.maximum(square - mean * mean, 0.0)


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
  def __call__(self, x: jax.Array) -> jax.Array:
    """(batch, ..., channels) -> the same shape."""
    assert self.use_running_average
    channels, y = (x.shape[-1],), x.astype(jnp.float32)
    shape = (1,) * (x.ndim - 1) + channels
    if self.has_variable("params", "scale"):
      scale = self.param("scale", nn.initializers.ones, channels, jnp.float32)
      y = y * scale.reshape(shape)
    bias = self.param("bias", nn.initializers.zeros, channels, jnp.float32)
    return (y + bias.reshape(shape)).astype(self.dtype or x.dtype)
