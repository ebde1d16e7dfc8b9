"""The interface of a weight generator: stored tensors in, one kernel out.

A generator is one frozen dataclass in one file. It says which tensors are stored
for a kernel, how they start, how the kernel comes out of them and what that
costs; where the computation can be reused it also says how to run the layer
without ever building the kernel (`fold`).
"""

import abc
import dataclasses
import math
from collections.abc import Callable, Mapping

import jax

from neural_epitome import codec
from neural_epitome.epitome.geometry import Application, KernelUse

Array = jax.Array
Shape = tuple[int, ...]
Tensors = Mapping[str, Array]
Initializer = Callable[..., Array]  # (key, shape, dtype) -> array


@dataclasses.dataclass(frozen=True)
class Cost:
  """Price of one kernel, per example where it counts operations.

  Attributes:
    stored: numbers stored, indices and scales included.
    expanded: weights of the kernel as the architecture sees it.
    madds: multiply-adds of the layer.
    adds: additions beside them (wrapping, prefix sums).

  Prices are those of the network as it ships, its channel offsets rounded: an
  integer shift moves data and multiplies nothing.
  """

  stored: int = 0
  expanded: int = 0
  madds: int = 0
  adds: int = 0

  def __add__(self, other: "Cost") -> "Cost":
    """Field by field."""
    pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
    return Cost(*(a + b for a, b in pairs))


class GeneratorSpec(codec.Variant, abc.ABC):
  """How one kernel is generated; each arm is a frozen dataclass."""

  @abc.abstractmethod
  def tensors(self, shape: Shape) -> dict[str, Shape]:
    """Shapes of the trained tensors of a kernel of this `shape`, by role."""

  def offsets(self, shape: Shape) -> dict[str, Shape]:
    """Shapes of the sampling offsets (the routing map), by axis; often none."""
    del shape
    return {}

  def start_cells(self, shape: Shape) -> dict[str, Shape]:
    """For each sampled axis the number of cells an offset may start at."""
    del shape
    return {}

  @abc.abstractmethod
  def init(
    self, key: Array, shape: Shape, offsets: Tensors, initializer: Initializer
  ) -> dict[str, Array]:
    """Initial tensors whose kernel is distributed as `initializer` on `shape`."""

  @abc.abstractmethod
  def generate(self, tensors: Tensors, offsets: Tensors, shape: Shape) -> Array:
    """The full kernel."""

  def fold(
    self,
    x: Array,
    tensors: Tensors,
    offsets: Tensors,
    shape: Shape,
    application: Application,
  ) -> Array | None:
    """The layer's output without building the kernel, or None if it does not fold.

    Args:
      x: input, channels last.
      tensors: stored tensors by role.
      offsets: routing map by axis.
      shape: the full kernel's shape.
      application: how the layer applies a kernel to `x`.
    """
    del x, tensors, offsets, shape, application
    return None

  def cost(self, use: KernelUse, folded: bool = False) -> Cost:
    """Price of the kernel in its place; `folded` where the layer runs folded."""
    del folded
    return Cost(self.stored(use.shape), use.size, use.madds)

  def stored(self, shape: Shape) -> int:
    """Numbers stored for a kernel of this shape, offsets included."""
    shapes = [*self.tensors(shape).values(), *self.offsets(shape).values()]
    return sum(map(math.prod, shapes))

  def check(self, shape: Shape) -> None:
    """Raises UserError if a kernel of this shape cannot be generated."""
