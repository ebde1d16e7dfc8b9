"""Squeeze-and-excitation (arXiv 1709.01507), which several backbones have."""

import jax
from flax import linen as nn

from neural_epitome.models import blocks
from neural_epitome.models.base import Layers


class SqueezeExcite(nn.Module):
  """Scales each channel by a gate computed from the pooled input.

  Attributes:
    squeezed: channels between the two convolutions.
    layers: factories.
    grouped: whether both have `squeezed` groups.
  """

  squeezed: int
  layers: Layers
  grouped: bool = False

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(batch, height, width, channels) -> the same shape."""
    groups = self.squeezed if self.grouped else 1
    options = {"feature_group_count": groups, "use_bias": True}
    gate = blocks.pool(x)[:, None, None, :]
    gate = self.layers.conv(self.squeezed, (1, 1), name="squeeze", **options)(gate)
    gate = nn.silu(gate)
    gate = self.layers.conv(x.shape[-1], (1, 1), name="excite", **options)(gate)
    return x * nn.sigmoid(gate)
