"""The interface of a policy: a distribution over architectures, as pure functions.

    params = policy.init(counts)
    options = policy.sample(params, key)          # int32 (genes,)
    policy.log_prob(params, options)              # differentiable in params

An architecture is a vector of options, one a gene (`spaces.genes`). The parameters are
a pytree of arrays: they are trained in the same jitted step as a network's weights,
saved with them, and, being a function of the seed and of what was measured, replayed
from a log. A policy is a frozen dataclass, and so a static argument of `jax.jit`.

A policy that depends on something, as on a network to be transformed, makes the
parameters of one of these from it, and differentiates through them.
"""

import abc
from typing import Any, ClassVar

import jax

from neural_epitome import codec

Params = Any


class Policy(codec.Variant, abc.ABC):
  """A family of distributions; each arm is a frozen dataclass in a file of its own."""

  plugin_group: ClassVar[str] = "policies"

  @abc.abstractmethod
  def init(self, counts: tuple[int, ...]) -> Params:
    """The parameters by which all architectures are equally likely.

    Args:
      counts: number of options of each gene.
    """

  @abc.abstractmethod
  def sample(self, params: Params, key: jax.Array) -> jax.Array:
    """Draws one architecture: int32 (genes,)."""

  @abc.abstractmethod
  def log_prob(self, params: Params, options: jax.Array) -> jax.Array:
    """Logarithm of the probability of an architecture: float32 scalar, in nats.

    Args:
      params: the parameters.
      options: int32 (genes,).
    """

  @abc.abstractmethod
  def entropy(self, params: Params) -> jax.Array:
    """Of the distribution: float32 scalar, in nats; the largest after `init`."""

  @abc.abstractmethod
  def mode(self, params: Params) -> jax.Array:
    """The most likely architecture: int32 (genes,)."""

  @abc.abstractmethod
  def natural(self, params: Params, gradient: Params) -> Params:
    """The natural gradient: the inverse of the Fisher information times a gradient.

    A step along it changes the distribution by as much whatever its parameters are
    (Amari, Neural Computation 10, 1998).

    Args:
      params: the parameters.
      gradient: of a function of the distribution alone, by the parameters.
    """
