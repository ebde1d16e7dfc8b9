"""Genes that are drawn independently, each from a categorical distribution."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from neural_epitome.strategies.policies.base import Policy

# Of options that a gene has not: their probability is exactly 0, and no product with
# their logarithm is NaN.
_NEVER = -1e30
# Below it, the natural gradient of a probability would be the noise of few samples.
_RARE = 1e-3


@dataclasses.dataclass(frozen=True)
class Categorical(Policy):
  """A product of categorical distributions, one a gene.

  Its parameters are `logits`, float32 (genes, options), padded to the most options.
  """

  kind: ClassVar[str] = "categorical"

  def init(self, counts: tuple[int, ...]) -> dict[str, jax.Array]:
    """Logits of 0; see `Policy.init`."""
    numbers = jnp.arange(max(counts))[None, :]
    exists = numbers < jnp.asarray(counts)[:, None]
    return {"logits": jnp.where(exists, 0.0, _NEVER)}

  def sample(self, params: Any, key: jax.Array) -> jax.Array:
    """Each gene from its own distribution; see `Policy.sample`."""
    return jax.random.categorical(key, params["logits"]).astype(jnp.int32)

  def log_prob(self, params: Any, options: jax.Array) -> jax.Array:
    """The sum over genes; see `Policy.log_prob`."""
    logs = jax.nn.log_softmax(params["logits"])
    return jnp.sum(jnp.take_along_axis(logs, options[:, None], axis=1))

  def entropy(self, params: Any) -> jax.Array:
    """The sum over genes; see `Policy.entropy`."""
    logs = jax.nn.log_softmax(params["logits"])
    return -jnp.sum(jnp.exp(logs) * logs)

  def mode(self, params: Any) -> jax.Array:
    """The most likely option of every gene; see `Policy.mode`."""
    return jnp.argmax(params["logits"], axis=1).astype(jnp.int32)

  def natural(self, params: Any, gradient: Any) -> dict[str, jax.Array]:
    """Of a gene of probabilities p the Fisher information is diag(p) - p p'.

    What it maps to a gradient g, whose sum is 0, is g / p up to a constant.
    """
    logits = params["logits"]
    exists = logits > 0.5 * _NEVER
    scaled = gradient["logits"] / jnp.maximum(jax.nn.softmax(logits), _RARE)
    mean = jnp.mean(scaled, axis=1, where=exists, keepdims=True)
    return {"logits": jnp.where(exists, scaled - mean, 0.0)}
