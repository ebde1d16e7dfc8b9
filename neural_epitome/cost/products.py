"""Products of two activations, which no kernel has a part in: those of attention."""

import jax
import jax.numpy as jnp
from flax import linen as nn


class Product(nn.Module):
  """`jnp.einsum` of two activations, as a module so that an inventory counts it.

  Attributes:
    equation: two terms and a result, such as `bqhd,bkhd->bhqk`; the first letter of
      each is the batch.
  """

  equation: str

  def __call__(self, first: jax.Array, second: jax.Array) -> jax.Array:
    """The product; both activations and the result have one dtype."""
    return jnp.einsum(self.equation, first, second)

  def madds(self, first: tuple[int, ...], second: tuple[int, ...]) -> int:
    """Multiply-adds of one example, for activations of these shapes."""
    terms, _, _ = self.equation.partition("->")
    count, seen = 1, {terms[0]}
    for term, shape in zip(terms.split(","), (first, second), strict=True):
      for letter, size in zip(term, shape, strict=True):
        count *= 1 if letter in seen else size
        seen.add(letter)
    return count
