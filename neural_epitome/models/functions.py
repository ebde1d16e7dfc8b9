"""What backbones share: channel rounding, stages, and noise keyed by example."""

from collections.abc import Iterable, Iterator

import jax
import jax.numpy as jnp

from neural_epitome.errors import UserError


def make_divisible(channels: float, divisor: int = 8) -> int:
  """Rounds to a multiple of `divisor`, never down by more than a tenth.

  The convention of the published MobileNet and EfficientNet models.
  """
  rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
  return rounded + divisor if rounded < 0.9 * channels else rounded


def in_stages(
  repeats: Iterable[int], strides: Iterable[int]
) -> Iterator[tuple[int, int, int]]:
  """Yields (stage, block, stride) of each block; a stage's first block strides."""
  block = 0
  for stage, (count, stride) in enumerate(zip(repeats, strides, strict=True)):
    for repeat in range(count):
      yield stage, block, stride if repeat == 0 else 1
      block += 1


@jax.custom_jvp
def relu6(x: jax.Array) -> jax.Array:
  """min(max(x, 0), 6), with the gradient of `jax.nn.relu6`: 0 at 0 and at 6."""
  # Spelled as a clip, which exporters know as one operator.
  return jnp.clip(x, 0.0, 6.0)


@relu6.defjvp
def _relu6_jvp(primals, tangents):
  (x,), (tangent,) = primals, tangents
  return relu6(x), jnp.where((x > 0) & (x < 6), tangent, jnp.zeros_like(tangent))


def pool(x: jax.Array) -> jax.Array:
  """Global average pool, (batch, height, width, channels) -> (batch, channels)."""
  return jnp.mean(x, axis=(1, 2))


def _keep(
  keys: jax.Array, layer: int, rate: float, shape: tuple[int, ...]
) -> jax.Array:
  """One Bernoulli mask an example, a function of its key and the layer alone."""

  def one(key: jax.Array) -> jax.Array:
    return jax.random.bernoulli(jax.random.fold_in(key, layer), 1.0 - rate, shape)

  return jax.vmap(one)(keys)


def _drop(
  x: jax.Array,
  keys: jax.Array | None,
  layer: int,
  rate: float,
  shape: tuple[int, ...],
) -> jax.Array:
  if keys is None:
    raise ValueError("train=True with dropout or drop path needs `keys`.")
  kept = _keep(keys, layer, rate, shape)
  return jnp.where(kept, x / (1.0 - rate), jnp.zeros_like(x))


def dropout(
  x: jax.Array, keys: jax.Array | None, *, rate: float, train: bool, layer: int = 0
) -> jax.Array:
  """Zeroes each element with probability `rate` and scales the rest up.

  Args:
    x: (batch, ...).
    keys: random keys, (batch,), one an example: what is dropped from an example
      does not depend on where in which batch it stands.
    rate: probability of zero, in [0, 1).
    train: without it `x` is returned as it is.
    layer: constant folded into the keys, different for each place of use.
  """
  if not train or rate == 0.0:
    return x
  return _drop(x, keys, layer, rate, x.shape[1:])


def drop_path(
  x: jax.Array, keys: jax.Array | None, *, rate: float, train: bool, layer: int
) -> jax.Array:
  """Zeroes whole examples: stochastic depth. Arguments as in `dropout`."""
  if not train or rate == 0.0:
    return x
  return _drop(x, keys, layer, rate, (1,) * (x.ndim - 1))


def check_strides(strides: tuple[int, ...], expected: int, where: str) -> None:
  """Raises UserError unless there are `expected` positive strides."""
  if len(strides) != expected or min(strides) < 1:
    raise UserError(f"{where}={list(strides)} must be {expected} positive numbers.")


def check_inner(inner: tuple[int, ...], expected: int) -> None:
  """Raises UserError unless there are `expected` positive numbers of channels."""
  if len(inner) != expected or min(inner) < 1:
    raise UserError(
      f"model.inner={list(inner)} must be {expected} positive numbers of channels."
    )
