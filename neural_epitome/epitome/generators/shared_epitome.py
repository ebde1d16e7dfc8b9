"""One flat epitome for a whole network: every kernel is a stretch of it.

The epitome is a ring of numbers. A kernel, flattened in row-major order, is the ring
read from a start of its own on, as often around as it takes; every block of
consecutive weights is multiplied by a stored factor:

    W.flat[i] = scale[i // block] * epitome[(start + i) mod length].

Kernels lie on the ring one after the other, so every number is read equally often,
and where a kernel starts follows from the architecture: nothing is stored for it.
A number is trained by every layer; the factors say how much, and with which sign.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp

from neural_epitome.domains import Count, Whole
from neural_epitome.epitome import sampling
from neural_epitome.epitome.generators.base import (
  Array,
  GeneratorSpec,
  Initializer,
  Shape,
  SharingRule,
  Tensors,
)
from neural_epitome.epitome.generators.dense import Dense
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError

# Adam moves every number by about the learning rate a step, whatever its size. Entries
# of unit variance hardly change in a short training; these are of a kernel's size.
_DEVIATION = 0.1


@dataclasses.dataclass(frozen=True)
class SharedEpitome(GeneratorSpec):
  """A kernel read from a flat epitome, see the module.

  Attributes:
    length: numbers of the epitome.
    start: where on the ring the kernel begins, in [0, length).
    block: consecutive weights of the flattened kernel that have a factor in common.
  """

  kind: ClassVar[str] = "shared_epitome"

  length: Count
  start: Whole = 0
  block: Count = 256

  def check(self, shape: Shape) -> None:
    """Raises UserError unless the start is on the ring and a block has weights."""
    del shape
    if not (0 <= self.start < self.length and self.block >= 1):
      raise UserError(
        f"SharedEpitome(length={self.length}, start={self.start}, block={self.block}) "
        "needs a start in [0, length) and a block of at least 1."
      )

  def tensors(self, shape: Shape) -> dict[str, Shape]:
    """The `epitome` (length,) and a `scale` (blocks,)."""
    return {
      "epitome": (self.length,),
      "scale": (-(-math.prod(shape) // self.block),),
    }

  def tensor_bits(self, role: str) -> int | None:
    """Factors of blocks are few and stay in float32."""
    return 32 if role == "scale" else None

  def init(
    self, key: Array, shape: Shape, offsets: Tensors, initializer: Initializer
  ) -> dict[str, Array]:
    """A normal epitome, the same for every kernel; the factors bring its variance.

    Factors start with random signs, so that what one block learns is not at once the
    opposite of, or the same as, what another one wants.
    """
    del offsets
    key_of_signs, key_of_kernel = jax.random.split(key)
    shapes = self.tensors(shape)
    size = jnp.std(initializer(key_of_kernel, shape)) / _DEVIATION
    signs = jax.random.rademacher(key_of_signs, shapes["scale"], jnp.float32)
    epitome = _DEVIATION * jax.random.normal(key, shapes["epitome"])
    return {"epitome": epitome, "scale": signs * size}

  def generate(self, tensors: Tensors, offsets: Tensors, shape: Shape) -> Array:
    """Contiguous copies and a product with the factors, see the module."""
    del offsets
    size = math.prod(shape)
    epitome, scale = tensors["epitome"], tensors["scale"]
    turned = jnp.concatenate([epitome[self.start :], epitome[: self.start]])
    # A broadcast, so that its gradient is one sum over the laps.
    laps = jnp.broadcast_to(turned, (-(-size // self.length), self.length))
    # A block longer than the kernel must not be written out.
    factors = sampling.repeat_cells(scale, min(self.block, size), size, 0)
    return (laps.reshape(-1)[:size] * factors).reshape(shape)


@dataclasses.dataclass(frozen=True)
class SharedEpitomeRule(SharingRule):
  """One epitome for all kernels.

  Attributes:
    block: see `SharedEpitome`.
  """

  kind: ClassVar[str] = "shared_epitome"
  shared: ClassVar[Mapping[str, str]] = {"epitome": "shared_epitome"}

  block: Count = 256

  def together(
    self, uses: Sequence[KernelUse], stored: int
  ) -> dict[str, GeneratorSpec]:
    """See `SharingRule.together`; met exactly or within a few numbers."""
    if stored >= sum(use.size for use in uses):
      return {}
    fewest = self.smallest_together(uses)
    if stored < fewest:
      raise UserError(
        f"{self.kind} cannot store {len(uses)} kernels in {stored:,} numbers: the "
        f"factors of their blocks of {self.block:,} weights take {fewest - 1:,}. "
        "Lower the rate or raise planner.rule.block."
      )
    length = _coprime(stored - fewest + 1, [use.shape[-1] for use in uses])
    generators, start = {}, 0
    for use in uses:
      generators[use.path] = SharedEpitome(length, start, self.block)
      start = (start + use.size) % length
    return generators

  def smallest_together(self, uses: Sequence[KernelUse]) -> int:
    """See `SharingRule.smallest_together`: every factor and one number."""
    return 1 + sum(-(-use.size // self.block) for use in uses)

  def at(self, use: KernelUse, stored: int, below: float = 0.01) -> GeneratorSpec:
    """See `Rule.at`: an epitome for this kernel alone."""
    del below
    return self.together([use], stored).get(use.path, Dense())

  def smallest(self, use: KernelUse) -> int:
    """See `Rule.smallest`."""
    return self.smallest_together([use])


def _coprime(length: int, outputs: Sequence[int]) -> int:
  """The nearest length, within 0.5%, that has no divisor in common with any of them.

  Were a kernel's rows to divide the ring, they would come back in step, and its input
  channels would repeat. Where there is no such length it is left as it is.
  """
  every = math.lcm(*outputs)
  for distance in range(length // 200 + 1):
    if math.gcd(length - distance, every) == 1:
      return length - distance
  return length
