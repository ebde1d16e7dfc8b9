"""SoundNet-8, the 1-D network of sound that WSNet compresses, and a smaller sibling.

Aytar et al. 2016 (arXiv 1610.09001), as in WSNet (arXiv 1711.10067): seven
convolutions along time, batch norm and ReLU after each, max pools after three of
them. The published head is an eighth convolution for two teachers' classes; here it
is the mean over time and a classifier, so that a clip may have any length.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import ClassVar, cast

import jax
import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.domains import Count, Decay, Factor, Stride
from neural_epitome.errors import UserError
from neural_epitome.models import functions
from neural_epitome.models.base import ChannelGroup, Layers, ModelConfig


@dataclasses.dataclass(frozen=True)
class SoundNetConfig(ModelConfig):
  """A chain of convolutions along time; the defaults are SoundNet-8.

  Layer i is a convolution of `windows[i]` samples and `strides[i]`, with windows[i]
  // 2 zeros on both sides, then batch norm, ReLU and, where pools[i] > 1, a max pool
  of that window and stride; samples at the end that fill no pool are left out.

  Attributes:
    channels: output channels of each layer, before `width`.
    windows: kernel size of each.
    strides: stride of each.
    pools: max pool after each; 1 is none.
    width: multiplier of the channels of every layer but the classifier.
    divisor: channels are rounded to its multiples, and are at least so many.
    dropout: probability of dropping a feature before the classifier.
  """

  kind: ClassVar[str] = "soundnet"

  channels: tuple[Count, ...] = (16, 32, 64, 128, 256, 512, 1024)
  windows: tuple[Count, ...] = (64, 32, 16, 8, 4, 4, 4)
  strides: tuple[Stride, ...] = (2, 2, 2, 2, 2, 2, 2)
  pools: tuple[Stride, ...] = (8, 8, 1, 1, 4, 1, 1)
  width: Factor = 1.0
  divisor: Count = 8
  dropout: Decay = 0.0

  def build(self, classes: int, layers: Layers) -> nn.Module:
    """The Linen module; see `ModelConfig.build`.

    Raises:
      UserError: if the layers' numbers do not agree or are not positive.
    """
    for name in ("channels", "windows", "strides", "pools"):
      numbers = getattr(self, name)
      if len(numbers) != len(self.channels) or min(numbers, default=0) < 1:
        raise UserError(
          f"model.{name}={list(numbers)} must be {len(self.channels)} positive "
          "numbers, one a layer."
        )
    if self.divisor < 1:
      raise UserError(f"model.divisor={self.divisor} must be at least 1.")
    return SoundNet(config=self, classes=classes, layers=layers)

  def features(self) -> tuple[int, ...]:
    """Output channels of each layer at this width."""
    return tuple(
      functions.make_divisible(count * self.width, self.divisor)
      for count in self.channels
    )

  def channel_groups(self) -> tuple[ChannelGroup, ...]:
    """Output channels of every layer."""
    last, groups = len(self.channels), []
    for number in range(1, last + 1):
      is_last = number == last
      reader = "classifier/kernel" if is_last else f"conv_{number + 1}/kernel"
      groups.append(
        ChannelGroup(
          name=f"conv_{number}",
          members={f"conv_{number}/kernel": -1, reader: -2},
          norms=(f"norm_{number}",),
          consumer=reader,
          consumer_norm=None if is_last else f"norm_{number + 1}",
        )
      )
    return tuple(groups)

  def narrowed(self, counts: Mapping[str, int]) -> "SoundNetConfig":
    """The same network with so many channels in its layers; see `ModelConfig`."""
    channels = enumerate(self.features(), 1)
    exact = tuple(counts.get(f"conv_{i}", count) for i, count in channels)
    return dataclasses.replace(self, channels=exact, width=1.0, divisor=1)


# For clips of half a second to a second at 16 kHz on a small machine.
SMALL = SoundNetConfig(
  channels=(16, 32, 64, 128, 256),
  windows=(32, 16, 8, 8, 4),
  strides=(4, 2, 2, 2, 2),
  pools=(4, 2, 1, 1, 1),
)


class SoundNet(nn.Module):
  """The network: `conv_1` and on, classifier.

  Attributes:
    config: its arguments.
    classes: number of classes.
    layers: factories.
  """

  config: SoundNetConfig
  classes: int
  layers: Layers

  @nn.compact
  def __call__(
    self, signals: jax.Array, train: bool = False, keys: jax.Array | None = None
  ) -> jax.Array:
    """Signals (batch, samples, channels) -> float32 logits (batch, classes).

    Raises:
      UserError: if the signals are images, or too short for the layers.
    """
    config, x = self.config, signals
    if x.ndim != 3:
      raise UserError(
        f"SoundNet reads signals (samples, channels), not inputs {x.shape[1:]}; its "
        "config.data must be SignalOptions."
      )
    rows = zip(
      config.features(), config.windows, config.strides, config.pools, strict=True
    )
    for number, (features, size, stride, pool) in enumerate(rows, 1):
      x = self.layers.conv(
        features,
        (size,),
        strides=stride,
        padding=size // 2,
        name=f"conv_{number}",
      )(x)
      x = self.layers.norm(use_running_average=not train, name=f"norm_{number}")(x)
      x = nn.relu(x)
      # What a custom gradient returns is not annotated as what the function does.
      x = cast(jax.Array, max_pool(x, pool) if pool > 1 else x)
      if not x.shape[1]:
        raise UserError(
          f"A signal of {signals.shape[1]} samples ends before SoundNet's layer "
          f"{number}: raise config.data.length or lower model.pools."
        )
    x = jnp.mean(x, axis=1)
    x = functions.dropout(x, keys, rate=config.dropout, train=train)
    return self.layers.dense(self.classes, name="classifier")(x).astype(jnp.float32)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def max_pool(x: jax.Array, window: int) -> jax.Array:
  """Max pool of (batch, samples, channels) without overlap or padding.

  Of equal samples, one takes the gradient. XLA's windowed reduction and its gradient
  are tens of times slower on a CPU. The gradient of `jnp.max` can be wrong there: it
  asks which samples equal the maximum, and where XLA computes these anew with other
  roundings it finds none and divides by zero.
  """
  return _largest(x, window)[0]


def _max_pool_forward(x: jax.Array, window: int) -> tuple[jax.Array, tuple]:
  largest, place = _largest(x, window)
  return largest, (place, jnp.zeros((0, x.shape[1]), x.dtype))


def _max_pool_backward(window: int, kept: tuple, gradient: jax.Array) -> tuple:
  place, like = kept
  batch, count, channels = gradient.shape
  taps = jnp.arange(window, dtype=place.dtype)[None, None, :, None]
  parts = jnp.where(
    place[:, :, None] == taps, gradient[:, :, None], jnp.zeros((), gradient.dtype)
  )
  whole = parts.reshape(batch, count * window, channels)
  rest = like.shape[1] - count * window
  return (jnp.pad(whole, ((0, 0), (0, rest), (0, 0))).astype(like.dtype),)


max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def _largest(x: jax.Array, window: int) -> tuple[jax.Array, jax.Array]:
  """The largest sample of each window, and its place in it, found by halving."""
  batch, samples, channels = x.shape
  count = samples // window
  values = x[:, : count * window].reshape(batch, count, window, channels)
  places = jnp.arange(window, dtype=jnp.int32)[None, None, :, None]
  places = jnp.broadcast_to(places, values.shape)
  while (size := values.shape[2]) > 1:
    half = size // 2
    left, right = slice(0, half), slice(half, 2 * half)
    keep = values[:, :, left] >= values[:, :, right]
    odd_values, odd_places = values[:, :, 2 * half :], places[:, :, 2 * half :]
    values = jnp.where(keep, values[:, :, left], values[:, :, right])
    places = jnp.where(keep, places[:, :, left], places[:, :, right])
    if size % 2:
      values = jnp.concatenate([values, odd_values], axis=2)
      places = jnp.concatenate([places, odd_places], axis=2)
  return values[:, :, 0], places[:, :, 0]
