"""The pre-norm transformer block: self-attention and an MLP, each added to x.

Attention is that of Vaswani et al. 2017 (arXiv 1706.03762), section 3.2.2; the norms
stand before the two parts as in Dosovitskiy et al. 2021 (arXiv 2010.11929), equations
2 and 3. Layers and their order in `qkv` are those of timm.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.cost.products import Product
from neural_epitome.models import functions
from neural_epitome.models.base import Layers

# Of every layer norm, as in both papers' code and timm.
EPSILON = 1e-6
# Of the dense kernels, class token and positions, as in DeiT's and timm's code.
INITIALIZER = nn.initializers.truncated_normal(0.02)


class SelfAttention(nn.Module):
  """Every token is a mean over all, weighted by how queries meet keys, head by head.

  Attributes:
    heads: of attention; they divide the channels.
    layers: factories.
  """

  heads: int
  layers: Layers

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(batch, tokens, channels) -> the same shape and dtype."""
    batch, tokens, channels = x.shape
    size = channels // self.heads
    dense = self.layers.dense
    qkv = dense(3 * channels, kernel_init=INITIALIZER, name="qkv")(x)
    parts = jnp.split(qkv, 3, axis=-1)
    query, key, value = (p.reshape(batch, tokens, self.heads, size) for p in parts)
    scores = Product("bqhd,bkhd->bhqk", name="scores")(query * size**-0.5, key)
    # In float32 at any precision: few bits of a sum over all tokens are left else.
    weights = nn.softmax(scores.astype(jnp.float32)).astype(x.dtype)
    mixed = Product("bhqk,bkhd->bqhd", name="mixed")(weights, value)
    mixed = mixed.reshape(batch, tokens, channels)
    return dense(channels, kernel_init=INITIALIZER, name="output")(mixed)


class TransformerBlock(nn.Module):
  """x + attention(norm(x)), then x + mlp(norm(x)).

  Attributes:
    heads: of attention.
    hidden: channels of the MLP, between its two layers.
    layers: factories.
    drop_path: probability of skipping each of the two parts, in training.
    noise: constant folded into the keys; this one and the next are the block's own.
  """

  heads: int
  hidden: int
  layers: Layers
  drop_path: float = 0.0
  noise: int = 0

  @nn.compact
  def __call__(
    self, x: jax.Array, train: bool = False, keys: jax.Array | None = None
  ) -> jax.Array:
    """(batch, tokens, channels) -> the same shape and dtype."""
    channels, dense, rate = x.shape[-1], self.layers.dense, self.drop_path
    y = layer_norm("attention_norm", x)
    y = SelfAttention(self.heads, self.layers, name="attention")(y)
    x = x + functions.drop_path(y, keys, rate=rate, train=train, layer=self.noise)
    y = layer_norm("mlp_norm", x)
    y = dense(self.hidden, kernel_init=INITIALIZER, name="expand")(y)
    y = nn.gelu(y, approximate=False)
    y = dense(channels, kernel_init=INITIALIZER, name="project")(y)
    layer = self.noise + 1
    return x + functions.drop_path(y, keys, rate=rate, train=train, layer=layer)


def layer_norm(name: str, x: jax.Array) -> jax.Array:
  """Normalises the channels of each token; a child of the module that is running.

  Args:
    name: of the module.
    x: (..., channels).

  Returns:
    The same shape and dtype; it is computed in float32.
  """
  norm = nn.LayerNorm(
    epsilon=EPSILON, dtype=jnp.float32, use_fast_variance=False, name=name
  )
  return norm(x.astype(jnp.float32)).astype(x.dtype)
