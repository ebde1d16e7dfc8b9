"""Few bits a weight: dense, quantised, and trained as such (see `rounding`)."""

import dataclasses
from typing import ClassVar

import numpy as np

from neural_epitome.epitome import rounding
from neural_epitome.epitome.generators.base import (
  Array,
  GeneratorSpec,
  Initializer,
  Rule,
  Shape,
  Tensors,
)
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError


@dataclasses.dataclass(frozen=True)
class Quantised(GeneratorSpec):
  """The whole kernel in integers of a few bits.

  Training keeps it in float32; what ships is the integers and the scales.

  Attributes:
    bits: of one weight, sign included.
  """

  kind: ClassVar[str] = "quantised"

  bits: int = 8

  def check(self, shape: Shape) -> None:
    """Raises UserError for bits that leave nothing or save nothing."""
    del shape
    if not 2 <= self.bits <= 8:
      raise UserError(f"Quantised(bits={self.bits}): bits must lie in [2, 8].")

  def tensors(self, shape: Shape) -> dict[str, Shape]:
    """One tensor, `kernel`, of the kernel's shape."""
    return {"kernel": shape}

  def derived(self, shape: Shape) -> dict[str, Shape]:
    """One scale an output channel, see `rounding.quantise`."""
    return {"scale": shape[-1:]}

  def tensor_bits(self, role: str) -> int:
    """`bits`."""
    del role
    return self.bits

  def init(
    self, key: Array, shape: Shape, offsets: Tensors, initializer: Initializer
  ) -> dict[str, Array]:
    """`initializer` on the kernel's shape."""
    del offsets
    return {"kernel": initializer(key, shape)}

  def generate(self, tensors: Tensors, offsets: Tensors, shape: Shape) -> Array:
    """Integers times scales; its gradient is that of the kernel as it is."""
    del offsets, shape
    return rounding.straight_through(tensors["kernel"], self.bits)

  def fit(self, kernel: np.ndarray) -> dict[str, np.ndarray]:
    """The kernel: it is rounded where it is generated."""
    return {"kernel": kernel}


@dataclasses.dataclass(frozen=True)
class QuantisedRule(Rule):
  """The same bits for every kernel: its size is 32 / bits smaller in bytes.

  Attributes:
    bits: see `Quantised`.
  """

  kind: ClassVar[str] = "quantised"
  is_fixed: ClassVar[bool] = True

  bits: int = 8

  def at(self, use: KernelUse, stored: int, below: float = 0.01) -> GeneratorSpec:
    """The one generator there is, whatever is wanted."""
    del use, stored, below
    return Quantised(self.bits)

  def smallest(self, use: KernelUse) -> int:
    """Every weight and one scale an output channel."""
    return Quantised(self.bits).stored(use.shape)
