"""Few bits a number: another generator's tensors, quantised, and trained as such.

See `rounding`. Of a dense kernel it is the int8 network that others ship.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from neural_epitome.epitome import rounding
from neural_epitome.epitome.generators.base import (
  Array,
  Cost,
  GeneratorSpec,
  Initializer,
  Rule,
  Shape,
  Tensors,
)
from neural_epitome.epitome.generators.dense import Dense
from neural_epitome.epitome.geometry import Application, KernelUse
from neural_epitome.epitome.stream import Stream
from neural_epitome.errors import UserError


@dataclasses.dataclass(frozen=True)
class Quantised(GeneratorSpec):
  """The tensors of another generator in integers of a few bits.

  Training keeps them in float32; what ships is the integers and the scales.

  Attributes:
    bits: of one number, sign included.
    of: the generator; tensors that it gives bits of their own keep those.
  """

  kind: ClassVar[str] = "quantised"

  bits: int = 8
  of: GeneratorSpec = Dense()

  def check(self, shape: Shape) -> None:
    """Raises UserError for bits that leave nothing or save nothing."""
    if not 2 <= self.bits <= 8:
      raise UserError(f"Quantised(bits={self.bits}): bits must lie in [2, 8].")
    self.of.check(shape)

  def tensors(self, shape: Shape) -> dict[str, Shape]:
    """Those of `of`."""
    return self.of.tensors(shape)

  def offsets(self, shape: Shape) -> dict[str, Shape]:
    """Those of `of`."""
    return self.of.offsets(shape)

  def start_cells(self, shape: Shape) -> dict[str, Shape]:
    """Those of `of`."""
    return self.of.start_cells(shape)

  def derived(self, shape: Shape) -> dict[str, Shape]:
    """One scale an entry of a quantised tensor's last axis, see `rounding.quantise`."""
    scales = {}
    for role, size in self.tensors(shape).items():
      if not self.of.tensor_bits(role):
        scales[f"{role}_scale"] = size[-1:] if len(size) > 1 else (1,)
    return self.of.derived(shape) | scales

  def tensor_bits(self, role: str) -> int:
    """`bits`, or the tensor's own."""
    return self.of.tensor_bits(role) or self.bits

  def init(
    self, key: Array, shape: Shape, offsets: Tensors, initializer: Initializer
  ) -> dict[str, Array]:
    """As `of` does."""
    return self.of.init(key, shape, offsets, initializer)

  def generate(self, tensors: Tensors, offsets: Tensors, shape: Shape) -> Array:
    """From integers times scales; its gradient is that of the tensors as they are."""
    return self.of.generate(self._read(tensors), offsets, shape)

  def _read(self, tensors: Tensors) -> dict[str, Array]:
    return {
      role: tensor
      if self.of.tensor_bits(role)
      else rounding.straight_through(tensor, self.bits)
      for role, tensor in tensors.items()
    }

  def fit(
    self, kernel: np.ndarray, importance: np.ndarray
  ) -> dict[str, np.ndarray] | None:
    """As `of` does: tensors are rounded where they are read."""
    return self.of.fit(kernel, importance)

  def reroute(
    self,
    kernel: np.ndarray,
    tensors: Tensors,
    offsets: Tensors,
    importance: np.ndarray,
  ) -> dict[str, np.ndarray]:
    """As `of` does."""
    return self.of.reroute(kernel, tensors, offsets, importance)

  @property
  def reads_streams(self) -> bool:
    """As `of` does."""
    return self.of.reads_streams

  def fold(
    self,
    x: Array | Stream,
    tensors: Tensors,
    offsets: Tensors,
    shape: Shape,
    application: Application,
  ) -> Array | Stream | None:
    """As `of` does, from what is rounded."""
    return self.of.fold(x, self._read(tensors), offsets, shape, application)

  def cost(self, use: KernelUse, folded: bool = False) -> Cost:
    """The operations of `of`; the scales are stored beside."""
    stored = self.stored(use.shape)
    return dataclasses.replace(self.of.cost(use, folded), stored=stored)


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
