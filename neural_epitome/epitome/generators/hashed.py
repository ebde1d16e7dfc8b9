"""Hashed weights (HashedNets, ICML 2015, arXiv 1504.04788).

Every weight of the kernel, at index i of its flattened form, is a stored one up to
sign, chosen by a fixed hash: W[i] = sign(i) w[bucket(i)], with

    h(i) = mix(i + 0x9E3779B9 seed),  bucket(i) = h(i) mod buckets,
    sign(i) = +1 or -1 as mix(h(i) xor 0x5BD1E995) is even or odd,

in 32-bit unsigned arithmetic, and mix the finaliser of MurmurHash3:

    x ^= x >> 16;  x *= 0x85EBCA6B;  x ^= x >> 13;  x *= 0xC2B2AE35;  x ^= x >> 16.

Nothing but the weights is stored: the hash is computed where the kernel is.
"""

import dataclasses
import math
import zlib
from typing import ClassVar

import jax.numpy as jnp

from neural_epitome.domains import Count, Seed
from neural_epitome.epitome.generators.base import (
  Array,
  GeneratorSpec,
  Initializer,
  Rule,
  Shape,
  Tensors,
)
from neural_epitome.epitome.generators.dense import Dense
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError


@dataclasses.dataclass(frozen=True)
class Hashed(GeneratorSpec):
  """Weights shared at random, with random signs.

  Attributes:
    buckets: stored weights.
    seed: of the hash, below 2**32.
  """

  kind: ClassVar[str] = "hashed"

  buckets: Count
  seed: Seed = 0

  def check(self, shape: Shape) -> None:
    """Raises UserError unless there are between 1 and as many buckets as weights."""
    if not 1 <= self.buckets <= math.prod(shape) or not 0 <= self.seed < 2**32:
      raise UserError(
        f"Hashed(buckets={self.buckets}, seed={self.seed}) cannot generate a kernel of "
        f"shape {list(shape)}: it needs 1 to {math.prod(shape)} buckets and a seed in "
        "[0, 2**32)."
      )

  def tensors(self, shape: Shape) -> dict[str, Shape]:
    """One tensor, `weights`, (buckets,)."""
    del shape
    return {"weights": (self.buckets,)}

  def init(
    self, key: Array, shape: Shape, offsets: Tensors, initializer: Initializer
  ) -> dict[str, Array]:
    """Entries of a kernel drawn in full, so with the kernel's fan-in."""
    del offsets
    return {"weights": initializer(key, shape).reshape(-1)[: self.buckets]}

  def generate(self, tensors: Tensors, offsets: Tensors, shape: Shape) -> Array:
    """A gather; its gradient is a scatter-add."""
    del offsets
    buckets, is_odd = assign(math.prod(shape), self.buckets, self.seed)
    drawn = tensors["weights"].at[buckets].get(mode="promise_in_bounds")
    return jnp.where(is_odd, -drawn, drawn).reshape(shape)


def assign(size: int, buckets: int, seed: int) -> tuple[Array, Array]:
  """Bucket (int32) and whether the sign is negative, for every index below `size`."""
  start = jnp.uint32(seed * 0x9E3779B9 % 2**32)
  hashed = _mix(jnp.arange(size, dtype=jnp.uint32) + start)
  signs = _mix(hashed ^ jnp.uint32(0x5BD1E995))
  return (hashed % jnp.uint32(buckets)).astype(jnp.int32), (signs & 1) == 1


def _mix(x: Array) -> Array:
  x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
  x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
  return x ^ (x >> 16)


@dataclasses.dataclass(frozen=True)
class HashedRule(Rule):
  """As many buckets as numbers may be stored, each kernel with a hash of its own.

  Attributes:
    seed: from which, with a kernel's path, the seed of its hash is made (CRC-32).
  """

  kind: ClassVar[str] = "hashed"

  seed: Seed = 0

  def at(self, use: KernelUse, stored: int, below: float = 0.01) -> GeneratorSpec:
    """See `Rule.at`."""
    del below
    if stored >= use.size:
      return Dense()
    if stored < 1:
      raise self.refuse(use, stored, "that is fewer than 1 bucket")
    return Hashed(stored, zlib.crc32(f"{self.seed}/{use.path}".encode()))

  def smallest(self, use: KernelUse) -> int:
    """See `Rule.smallest`: one bucket."""
    del use
    return 1
