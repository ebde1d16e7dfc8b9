"""A declared block that computes any of its narrower forms, what is left out masked."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from neural_epitome.epitome.geometry import Application
from neural_epitome.models.base import Layers, symmetric_padding
from neural_epitome.models.block import Block
from neural_epitome.models.block_module import (
  ACTIVATIONS,
  SqueezeExcite,
  bypass,
  conv_layer,
  widen,
)
from neural_epitome.models.chain import OPERATIONS
from neural_epitome.models.layer_specs import ConvSpec, SqueezeExciteSpec, middle


class ElasticBlock(nn.Module):
  """A declared block that computes any of its narrower forms.

  Genes are scalars, one choice for the batch, or (batch,), one an image.

  Attributes:
    block: the declaration of the largest form.
    windows: sizes that the kernels may have where they shrink.
    rates: epitome rates that kernels may have.
    layers: factories.
  """

  block: Block
  windows: tuple[int, ...]
  rates: tuple[int, ...]
  layers: Layers

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    train: bool,
    *,
    window: jax.Array,
    width: jax.Array,
    operation: jax.Array,
    rate: jax.Array,
  ) -> jax.Array:
    """(batch, height, width, inputs) -> the same, strided, `features` channels."""
    block = self.block
    channel = jnp.arange(block.hidden.count).reshape(*(1,) * width.ndim, -1)
    mask = (channel < width[..., None]).astype(jnp.float32)
    is_kept = width > 0
    masking = _beside(mask, x.ndim).astype(x.dtype)

    def convolved(spec: ConvSpec, y: jax.Array) -> jax.Array:
      if spec.shrinking_axis == -2:
        # The mean of what tied weights read, for the mean of the weights.
        y = tied(y, rate[..., 1], self.rates)
      kernel = (ElasticKernel(spec, self.windows, window),) * spec.kernel_shrinks
      y = conv_layer(spec, self.layers)(y, *kernel)
      if spec.shrinking_axis == -1:
        y = tied(y, rate[..., 0], self.rates)
      if spec.norm is not None:
        norm = self.layers.norm(use_running_average=not train, name=spec.norm)
        y = norm(y, known(spec))
      y = ACTIVATIONS[spec.activation](y)
      return y * masking if spec.outputs.shrinks else y

    def known(spec: ConvSpec) -> jax.Array | None:
      """Which images have which channels, where images differ."""
      if width.ndim == 0:
        return None
      if spec.outputs.shrinks:
        return mask
      ones = jnp.ones((1, spec.outputs.count), jnp.float32)
      return is_kept[:, None].astype(jnp.float32) * ones

    y = x
    for layer in block.layers:
      if isinstance(layer, ConvSpec):
        y = convolved(layer, y)
      elif isinstance(layer, SqueezeExciteSpec):
        gated = SqueezeExcite(layer, self.layers, name=layer.name)(y)
        index = OPERATIONS.index("squeeze_excite")
        y = jnp.where(_beside(operation, y.ndim, 0) == index, gated, y)
    if isinstance(block.shortcut, ConvSpec):
      y = y + convolved(block.shortcut, x)
    elif block.shortcut == "identity":
      y = y + x
    y = ACTIVATIONS[block.activation](y)
    features = block.features.count
    passed = widen(bypass(x, features, block.stride), features)
    return jnp.where(_beside(is_kept, y.ndim, 0), y, passed)


@dataclasses.dataclass(frozen=True)
class ElasticKernel:
  """A convolution by the middle of a kernel.

  Attributes:
    spec: the convolution by the whole kernel.
    windows: heights and widths that it may have, odd; the kernel has the largest. On an
      axis on which the kernel is one number wide it stays so.
    chosen: scalar, or (batch,), of each image.
  """

  spec: ConvSpec
  windows: tuple[int, ...]
  chosen: jax.Array

  def __call__(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """(batch, height, width, channels) -> the same, strided."""
    shape = kernel.shape[:2]
    if self.chosen.ndim == 0:
      rows, columns = (np.abs(np.arange(size) - size // 2) for size in shape)
      ring = np.maximum(rows[:, None], columns)
      inside = (2 * ring < self.chosen).astype(kernel.dtype)[..., None, None]
      return self._convolved(x, kernel * inside)
    y: Any = None
    for size in sorted(self.windows):
      part = middle(shape, [min(size, whole) for whole in shape])
      convolved = self._convolved(x, kernel[part])
      is_chosen = _beside(self.chosen, x.ndim, 0) == size
      y = convolved if y is None else jnp.where(is_chosen, convolved, y)
    return y

  def _convolved(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
    spec, size = self.spec, kernel.shape[:2]
    application = Application.of_convolution(
      size,
      spec.strides,
      symmetric_padding(size, spec.kernel_dilation),
      spec.kernel_dilation,
      spec.feature_group_count,
    )
    return application(x, kernel)


def _beside(value: jax.Array, ndim: int, channel_axes: int = 1) -> jax.Array:
  """Genes or masks, of the batch or of each image, shaped to broadcast."""
  count = value.ndim - channel_axes
  batch, channels = value.shape[:count], value.shape[count:]
  missing = ndim - 1 - len(channels)
  return value.reshape(*(batch or (1,)), *(1,) * missing, *channels)


def tied(x: jax.Array, rate: jax.Array, rates: tuple[int, ...]) -> jax.Array:
  """Replaces each group of `rate` neighbouring channels by its mean.

  A 1x1 convolution is linear: so its outputs, or inputs, are those of the kernel whose
  weights are replaced by their means, without a kernel for every image.
  """
  *_, most = rates = tuple(sorted(rates))
  if most == 1:
    return x
  # Products with a small matrix an image: XLA's CPU compiler makes slow code of
  # reductions over so few channels.
  number = np.arange(most)
  means = [(number[:, None] // count == number // count) / count for count in rates]
  chosen = jnp.searchsorted(jnp.asarray(rates), rate)
  matrix = jnp.asarray(np.stack(means), x.dtype)[chosen]
  groups = x.reshape(x.shape[0], -1, most)
  exact = jax.lax.Precision.HIGHEST
  return jnp.matmul(groups, matrix, precision=exact).reshape(x.shape)
