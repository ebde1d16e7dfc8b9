"""Classification loss, smoothed labels and mixup."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy import special

Array = jax.Array

# Streams of random keys; one example's key is fold_in(fold_in(seed, stream),
# position). The data pipeline draws from generators of its own.
DROPOUT_STREAM = 1
MIXUP_STREAM = 2
REESTIMATION_STREAM = 3
GATE_STREAM = 4


def example_keys(seed: int, stream: int, position: Array) -> Array:
  """One random key an example, by its global position: (batch,) keys."""
  base = jax.random.fold_in(jax.random.key(seed), stream)
  return jax.vmap(lambda p: jax.random.fold_in(base, p))(position.astype(jnp.uint32))


def smooth_labels(labels: Array, classes: int, smoothing: float) -> Array:
  """Integer labels (batch,) as smoothed distributions (batch, classes)."""
  return optax.smooth_labels(jax.nn.one_hot(labels, classes), smoothing)


def cross_entropy(logits: Array, targets: Array) -> Array:
  """Mean over the batch of the softmax cross entropy with distributions, nats."""
  return jnp.mean(optax.softmax_cross_entropy(logits, targets))


def distillation(logits: Array, targets: Array, temperature: float) -> Array:
  """T^2 times the cross entropy with the teacher's softened answers, nats.

  Hinton et al. 2015 (arXiv 1503.02531), section 2: T^2 keeps the size of the gradients
  as T changes.

  Args:
    logits: (batch, classes).
    targets: softmax of the teacher's logits over T.
    temperature: T.
  """
  return temperature**2 * cross_entropy(logits / temperature, targets)


def mixup(seed: int, alpha: float, position: Array) -> Callable[[Array], Array]:
  """Mixes neighbours: examples 2k and 2k + 1 of the global order.

  Both members of a pair are kept, x' = l x + (1 - l) y and y' = l y + (1 - l) x,
  with l ~ Beta(alpha, alpha) keyed by the position of the pair: however a batch is
  cut over devices, the same examples meet with the same weight. Zhang et al. 2018
  mix with a random permutation of the batch; the order is shuffled already.

  Args:
    seed: of the run.
    alpha: of the beta distribution.
    position: (batch,) global positions; an even number of consecutive ones, the
      first even.

  Returns:
    A function that mixes any float array along its first axis, for images and
    targets alike.
  """
  keys = example_keys(seed, MIXUP_STREAM, position[::2] // 2)
  # By inversion: jax.random.beta's rejection sampling takes seconds to compile.
  levels = np.linspace(0.0, 1.0, 2049, dtype=np.float32)
  quantiles = special.betaincinv(alpha, alpha, levels).astype(np.float32)
  weight = jnp.interp(jax.vmap(jax.random.uniform)(keys), levels, quantiles)

  def mix(values: Array) -> Array:
    pairs = values.reshape(-1, 2, *values.shape[1:])
    share = weight.reshape(-1, *(1,) * (pairs.ndim - 1)).astype(values.dtype)
    return (share * pairs + (1 - share) * pairs[:, ::-1]).reshape(values.shape)

  return mix
