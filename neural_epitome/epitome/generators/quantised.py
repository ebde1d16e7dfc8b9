"""Kernels in full, in integers of few bits: the int8 network that others ship."""

import dataclasses
from typing import ClassVar

from neural_epitome.domains import Bits
from neural_epitome.epitome import rounding
from neural_epitome.epitome.generators.base import GeneratorSpec, Rule
from neural_epitome.epitome.generators.dense import Dense
from neural_epitome.epitome.geometry import KernelUse


@dataclasses.dataclass(frozen=True)
class QuantisedRule(Rule):
  """The same bits for every kernel: its size is 32 / bits smaller in bytes.

  Kernels are trained as the integers that ship, see `rounding`.

  Attributes:
    bits: of one number, sign included, 1 to 8.
  """

  kind: ClassVar[str] = "quantised"
  is_fixed: ClassVar[bool] = True

  bits: Bits = 8

  def __post_init__(self):
    """Raises UserError for bits that leave nothing or save nothing."""
    rounding.check_bits(self.bits)

  @property
  def width(self) -> int:
    """`bits`."""
    return self.bits

  def at(self, use: KernelUse, stored: int, below: float = 0.01) -> GeneratorSpec:
    """The dense kernel: in numbers, unlike in bytes, there is one size only."""
    del use, stored, below
    return Dense()

  def smallest(self, use: KernelUse) -> int:
    """Every weight and one factor an output channel."""
    return use.size + use.shape[-1]
