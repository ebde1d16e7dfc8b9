"""Genes that are on or off, drawn independently: the gates of NSE.

Neural Search-space Evolution (Ci et al., ICCV 2021, arXiv 2011.10904) keeps every
probability off 0 and 1, as its authors' code has it: p = 0.999 sigmoid(alpha) + 5e-4.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from neural_epitome.errors import UserError
from neural_epitome.strategies.policies.base import Policy

_SPAN, _LEAST = 0.999, 5e-4


def probability(alpha: jax.Array) -> jax.Array:
  """Of each gate to be on, float32 of the shape of `alpha`; in [0.0005, 0.9995]."""
  return _SPAN * jax.nn.sigmoid(alpha) + _LEAST


@dataclasses.dataclass(frozen=True)
class Gates(Policy):
  """A product of Bernoulli distributions, one a gene of two options, off and on.

  Its parameters are `alpha`, float32 (genes,).
  """

  kind: ClassVar[str] = "gates"

  def init(self, counts: tuple[int, ...]) -> dict[str, jax.Array]:
    """Alphas of 0; see `Policy.init`.

    Raises:
      UserError: if a gene has another number of options than two.
    """
    if set(counts) - {2}:
      raise UserError(
        f"A policy of gates needs genes of two options, and one has "
        f"{next(count for count in counts if count != 2)}; take kind=categorical."
      )
    return {"alpha": jnp.zeros(len(counts), jnp.float32)}

  def sample(self, params: Any, key: jax.Array) -> jax.Array:
    """Each gate by its own probability; see `Policy.sample`."""
    return jax.random.bernoulli(key, probability(params["alpha"])).astype(jnp.int32)

  def log_prob(self, params: Any, options: jax.Array) -> jax.Array:
    """The sum over gates; see `Policy.log_prob`."""
    on = probability(params["alpha"])
    return jnp.sum(jnp.log(jnp.where(options == 1, on, 1.0 - on)))

  def entropy(self, params: Any) -> jax.Array:
    """The sum over gates; see `Policy.entropy`."""
    on = probability(params["alpha"])
    return -jnp.sum(on * jnp.log(on) + (1.0 - on) * jnp.log1p(-on))

  def mode(self, params: Any) -> jax.Array:
    """Every gate that is rather on than off; see `Policy.mode`."""
    return (params["alpha"] > 0).astype(jnp.int32)

  def natural(self, params: Any, gradient: Any) -> dict[str, jax.Array]:
    """The Fisher information of a gate is (dp/dalpha)^2 / (p (1 - p))."""
    alpha = params["alpha"]
    on, slope = probability(alpha), _SPAN * jax.nn.sigmoid(alpha)
    slope = slope * jax.nn.sigmoid(-alpha)
    fisher = slope**2 / (on * (1.0 - on))
    # Where a gate is all but decided, a step would be as long as 1 / slope.
    return {"alpha": gradient["alpha"] / jnp.maximum(fisher, 1e-3)}
