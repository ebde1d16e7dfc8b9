"""The interface of a weight generator: stored tensors in, one kernel out.

A generator is one frozen dataclass in one file. It says which tensors are stored
for a kernel, how they start, how the kernel comes out of them and what that
costs; where the computation can be reused it also says how to run the layer
without ever building the kernel (`fold`).

A rule is a family of generators without its size: a planner tells it how many
numbers a kernel may store, and it answers with the generator that stores them.
"""

import abc
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import jax
import numpy as np

from neural_epitome import codec
from neural_epitome.epitome.geometry import Application, KernelUse
from neural_epitome.epitome.stream import Stream
from neural_epitome.errors import UserError

Array = jax.Array
Shape = tuple[int, ...]
Tensors = Mapping[str, Any]  # arrays of JAX or of NumPy
Initializer = Callable[..., Array]  # (key, shape) -> float32 array


@dataclasses.dataclass(frozen=True)
class Cost:
  """Price of one kernel, per example where it counts operations.

  Attributes:
    stored: numbers stored, offsets included.
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

  # Where offsets may come from in training, see `routing.IndexOptions`.
  sources: ClassVar[tuple[str, ...]] = ("learner", "free", "fixed", "drawn")
  plugin_group: ClassVar[str] = "generators"

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

  def offset_bits(self, axis: str) -> int:
    """Bits of a stored offset of an axis: 32, or fewer for whole cells."""
    del axis
    return 32

  def coded_symbols(self, axis: str) -> int | None:
    """Of how many symbols the offsets of an axis are, if a file has them entropy coded.

    They take `offset_bytes` then, which are known once they are.
    """
    del axis
    return None

  def coded_axis(self, axis: str) -> int | None:
    """Axis of the offsets along which one tells of the next, if it is coded so."""
    del axis
    return None

  def offset_bytes(self, axis: str, shape: Shape) -> int:
    """Bytes that the stored offsets of an axis take, for a kernel of this shape."""
    return -(-math.prod(self.offsets(shape)[axis]) * self.offset_bits(axis) // 8)

  def first_offsets(self, shape: Shape) -> dict[str, np.ndarray]:
    """Offsets, in whole cells, from which a fit of a kernel begins."""
    return {
      axis: np.zeros(size, np.float32) for axis, size in self.offsets(shape).items()
    }

  @abc.abstractmethod
  def init(
    self, key: Array, shape: Shape, offsets: Tensors, initializer: Initializer
  ) -> dict[str, Array]:
    """Initial tensors whose kernel is distributed as `initializer` on `shape`.

    Args:
      key: random key.
      shape: of the full kernel.
      offsets: where sampling starts, by axis.
      initializer: of a key, a shape and a dtype, as those of `jax.nn.initializers`.
    """

  @abc.abstractmethod
  def generate(self, tensors: Tensors, offsets: Tensors, shape: Shape) -> Array:
    """The full kernel."""

  def fit(
    self, kernel: np.ndarray, importance: np.ndarray
  ) -> dict[str, np.ndarray] | None:
    """The float32 tensors whose kernel is nearest to this one, in least squares.

    None where every weight is made of one number of each tensor, plus or minus: that
    is fitted without knowing the generator (see `fitting`).

    Args:
      kernel: in full.
      importance: (Cin,), what the squared difference of each input's weights counts.
    """
    del kernel, importance
    return None

  def scale_outputs(
    self, tensors: Tensors, factors: Array | np.ndarray, shape: Shape
  ) -> Tensors | None:
    """The tensors whose kernel is this one with its output channels scaled.

    Args:
      tensors: by role.
      factors: (Cout,).
      shape: the kernel's.

    Returns:
      None where no tensors generate such a kernel, whatever the factors.
    """
    del tensors, factors, shape
    return None

  def reroute(
    self,
    kernel: np.ndarray,
    tensors: Tensors,
    offsets: Tensors,
    importance: np.ndarray,
  ) -> dict[str, np.ndarray]:
    """The offsets, in whole cells, at which these tensors come nearest to a kernel.

    Args:
      kernel: in full.
      tensors: by role, as `fit` left them.
      offsets: where they were read.
      importance: (Cin,), see `fit`.
    """
    del kernel, tensors, importance
    return {axis: np.asarray(value) for axis, value in offsets.items()}

  @property
  def reads_streams(self) -> bool:
    """Whether `fold` takes a `stream.Stream`, as it may return one."""
    return False

  def fold(
    self,
    x: Array | Stream,
    tensors: Tensors,
    offsets: Tensors,
    shape: Shape,
    application: Application,
  ) -> Array | Stream | None:
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

  def tensor_bits(self, role: str) -> int | None:
    """Bits of a stored number of a tensor; None where the plan chooses them."""
    del role
    return None

  def stored(self, shape: Shape) -> int:
    """Numbers stored for a kernel of this shape, offsets included."""
    return _count(self.tensors(shape)) + self.stored_beside(shape)

  def stored_beside(self, shape: Shape) -> int:
    """Numbers stored for a kernel beside its trained tensors: its offsets."""
    return _count(self.offsets(shape))

  def check(self, shape: Shape) -> None:
    """Raises UserError if a kernel of this shape cannot be generated."""


class Rule(codec.Variant, abc.ABC):
  """A family of generators; each arm is a frozen dataclass beside its generator.

  Attributes:
    is_fixed: whether its fields alone say what a kernel stores.
  """

  plugin_group: ClassVar[str] = "generators"
  is_fixed: ClassVar[bool] = False

  @property
  def width(self) -> int:
    """Bits of the numbers that its generators store, 32 or 1 to 8."""
    return 32

  @abc.abstractmethod
  def at(self, use: KernelUse, stored: int, below: float = 0.01) -> GeneratorSpec:
    """The generator of a kernel that stores about `stored` numbers.

    Args:
      use: the kernel.
      stored: numbers to store, offsets and scales included.
      below: share by which the result may fall short where that lets it keep the
        form the rule prefers; it comes nearer where it can, and falls further short
        only where the kernel's integers leave nothing between.

    Returns:
      A generator that stores at most 1% more than `stored`.

    Raises:
      UserError: if the smallest generator stores more than that, naming the family
        and the kernel.
    """

  @abc.abstractmethod
  def smallest(self, use: KernelUse) -> int:
    """The fewest numbers that `at` can store for a kernel."""

  def refuse(self, use: KernelUse, stored: int, why: str) -> UserError:
    """The error for a kernel that cannot be stored in `stored` numbers."""
    return UserError(
      f"{self.kind} cannot store {use.path} {list(use.shape)} in {stored:,} numbers: "
      f"{why}. Lower the rate or keep the kernel dense."
    )


class SharingRule(Rule):
  """A rule whose kernels are generated from tensors that they share.

  Attributes:
    shared: name of the shared tensor for each role that is shared.
  """

  shared: ClassVar[Mapping[str, str]]

  @abc.abstractmethod
  def together(
    self, uses: Sequence[KernelUse], stored: int
  ) -> dict[str, GeneratorSpec]:
    """Generators, by path, of kernels that together store about `stored` numbers.

    Args:
      uses: the kernels.
      stored: numbers to store for all of them; a shared tensor counts once.

    Returns:
      A generator for every kernel, or an empty dictionary where the kernels in full
      are no more than `stored` numbers.

    Raises:
      UserError: if they cannot be stored in so few, naming the family.
    """

  @abc.abstractmethod
  def smallest_together(self, uses: Sequence[KernelUse]) -> int:
    """The fewest numbers that `together` can store."""


def at_most(stored: int) -> int:
  """The most numbers that a rule may store in place of `stored`: 1% more."""
  return stored + stored // 100


def _count(shapes: Mapping[str, Shape]) -> int:
  return sum(map(math.prod, shapes.values()))
