"""A covariance of choices that is learned: the embedding space of ESNAC.

Cao et al., Learnable Embedding Space for Efficient Neural Architecture Compression,
ICLR 2019 (arXiv 1902.00383), section 3: two choices x and x' have the covariance
exp(-|h(x) - h(x')|^2 / (2 width^2)), h being a bidirectional LSTM over the layers of a
network. It is trained so that each measurement is likely given all others. (The mean
over layers and the unit sphere are recalled; that width and noise are learned as well
is not the paper's.)
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

# Of the first width and noise; distances are at most 2.
_WIDTH, _NOISE = 0.5, 0.1
# Relative to the variance, so that an inverse in float32 is one.
_LEAST_NOISE = 1e-3


class Embedding(nn.Module):
  """The space: where choices are on the unit sphere.

  Attributes:
    counts: number of options of each gene.
    places: index of each gene's place; see `Genes.places`.
    hidden: units of the LSTM in each direction.
    features: of the space.
  """

  counts: tuple[int, ...]
  places: tuple[int, ...]
  hidden: int
  features: int

  @nn.compact
  def __call__(self, options: jax.Array) -> jax.Array:
    """Options, int32 (choices, genes) -> float32 (choices, features) of length 1."""
    starts = np.cumsum((0, *self.counts[:-1]), dtype=np.int32)
    shape = (sum(self.counts), self.hidden)
    table = self.param("options", nn.initializers.normal(1.0), shape)
    # A layer is the one-hot vectors of its genes, and what its LSTM reads linear in it.
    at_place = np.eye(max(self.places) + 1, dtype=np.float32)[list(self.places)]
    layers = jnp.einsum("cgh,gp->cph", table[starts[None] + options], at_place)
    forth, back = (nn.RNN(nn.OptimizedLSTMCell(self.hidden)) for _ in range(2))
    states: Any = nn.Bidirectional(forth, back)(layers)
    x = nn.Dense(self.features)(jnp.mean(states, axis=1))
    return x / jnp.sqrt(jnp.sum(x**2, axis=-1, keepdims=True) + 1e-12)


@functools.partial(
  jax.tree_util.register_dataclass, data_fields=["params", "moments"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True)
class Kernels:
  """Several kernels that learn: a pytree whose arrays have an axis of kernels first.

  Attributes:
    params: `embedding`, and the logarithms of `width` and `noise`, float32.
    moments: of the optimiser.
  """

  params: Any
  moments: Any


@functools.partial(jax.jit, static_argnums=(0, 1, 3))
def start(embedding: Embedding, rate: float, key: jax.Array, count: int) -> Kernels:
  """Kernels that have learned nothing, each its own.

  Args:
    embedding: the space.
    rate: learning rate of Adam.
    key: of their parameters.
    count: how many.
  """
  nothing = jnp.zeros((1, len(embedding.counts)), jnp.int32)

  def one(key: jax.Array) -> Any:
    return {
      "embedding": embedding.init(key, nothing),
      "width": jnp.log(jnp.float32(_WIDTH)),
      "noise": jnp.log(jnp.float32(_NOISE)),
    }

  params = jax.vmap(one)(jax.random.split(key, count))
  return Kernels(params, jax.vmap(optax.adam(rate).init)(params))


def covariance(x: jax.Array, other: jax.Array, width: jax.Array) -> jax.Array:
  """Of choices at these places of the space: float32 (choices, others) in (0, 1].

  Args:
    x: (choices, features), of length 1: so a squared distance is 2 - 2 x . x'.
    other: (others, features), likewise.
    width: scalar.
  """
  squared = jnp.maximum(2.0 - 2.0 * x @ other.T, 0.0)
  return jnp.exp(-squared / (2.0 * width**2))


def loss(
  embedding: Embedding,
  params: Any,
  options: jax.Array,
  measured: jax.Array,
  is_there: jax.Array,
) -> jax.Array:
  """Minus the mean log-probability of each measurement given the others.

  In closed form (Rasmussen and Williams 2006, equations 5.10 to 5.12), but for a
  constant.

  Args:
    embedding: the space.
    params: of one kernel; see `Kernels`.
    options: int32 (choices, genes).
    measured: float32 (choices,), of mean 0 and deviation 1.
    is_there: bool (choices,); others fill the arrays and say nothing.
  """
  x: Any = embedding.apply(params["embedding"], options)
  pairs = is_there[:, None] & is_there[None]
  alike = jnp.where(pairs, covariance(x, x, jnp.exp(params["width"])), 0.0)
  own = jnp.where(is_there, jnp.exp(params["noise"]) + _LEAST_NOISE, 1.0)
  inverse = jnp.linalg.inv(alike + jnp.diag(own))
  variance = 1.0 / jnp.diag(inverse)
  away = (inverse @ jnp.where(is_there, measured, 0.0)) * variance
  each = 0.5 * (jnp.log(variance) + away**2 / variance)
  return jnp.sum(jnp.where(is_there, each, 0.0)) / jnp.sum(is_there, dtype=jnp.float32)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def learned(
  embedding: Embedding,
  rate: float,
  steps: int,
  kernels: Kernels,
  options: jax.Array,
  measured: jax.Array,
  is_there: jax.Array,
) -> tuple[Kernels, jax.Array]:
  """The kernels after so many steps, each on choices of its own, and their losses.

  Args:
    embedding: the space.
    rate: learning rate of Adam.
    steps: how many.
    kernels: before.
    options: int32 (kernels, choices, genes).
    measured: float32 (kernels, choices); see `loss`.
    is_there: bool (kernels, choices).

  Returns:
    The losses before each step, float32 (kernels, steps), are the second.
  """

  def of_one(
    kernels: Kernels, options: jax.Array, measured: jax.Array, is_there: jax.Array
  ) -> tuple[Kernels, jax.Array]:
    def step(kernels: Kernels, _: None) -> tuple[Kernels, jax.Array]:
      value, gradient = jax.value_and_grad(loss, argnums=1)(
        embedding, kernels.params, options, measured, is_there
      )
      # Optax mixes floats with integer counts, which strict promotion does not allow.
      with jax.numpy_dtype_promotion("standard"):
        updates, moments = optax.adam(rate).update(gradient, kernels.moments)
      return Kernels(optax.apply_updates(kernels.params, updates), moments), value

    return jax.lax.scan(step, kernels, length=steps)

  return jax.vmap(of_one)(kernels, options, measured, is_there)


@functools.partial(jax.jit, static_argnums=0)
def covariances(embedding: Embedding, kernels: Kernels, options: jax.Array) -> Any:
  """What each kernel says of choices, without noise.

  Args:
    embedding: the space.
    kernels: that learned.
    options: int32 (choices, genes).

  Returns:
    Covariances, float32 (kernels, choices, choices), and what of a measurement's
    variance is noise, relative to that of the process, float32 (kernels,).
  """

  def of_one(params: Any) -> tuple[jax.Array, jax.Array]:
    x: Any = embedding.apply(params["embedding"], options)
    noise = jnp.exp(params["noise"]) + _LEAST_NOISE
    return covariance(x, x, jnp.exp(params["width"])), noise

  return jax.vmap(of_one)(kernels.params)
