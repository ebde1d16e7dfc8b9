"""The same rate for every kernel that is compressed at all."""

import dataclasses
import fnmatch
import math
from typing import ClassVar, Literal

from neural_epitome import codec
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import Epitome
from neural_epitome.epitome.generators.epitome import Axis
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.epitome.sampling import Shape
from neural_epitome.errors import UserError
from neural_epitome.planning.base import Planner

Side = Literal["wide", "input", "output", "both"]


@dataclasses.dataclass(frozen=True)
class UniformPlanner(Planner):
  """An epitome of 1 / rate of the kernel's weights wherever kernels are compressed.

  The authors of Neural Epitome Search halve the wide side of each 1x1 kernel: the
  output of an expansion, the input of a projection. The first layer and depthwise
  kernels stay dense: they are small, and a depthwise kernel has nothing to wrap.

  Attributes:
    rate: weights of a kernel over weights of its epitome, at least 1.
    side: which channel axis the epitome is short on; `wide` is the longer one (the
      output where they are equal), `both` shares the rate between them.
    routing: see `Epitome`.
    sampled: see `Epitome`.
    margin: cells by which the epitome is larger than the kernel on each spatial
      axis longer than one; its channels shrink further to keep the rate.
    only: shell patterns of the kernel paths that are compressed.
    keep: shell patterns of those that stay dense all the same.
    keep_first: whether the first kernel stays dense.
    keep_depthwise: whether depthwise kernels stay dense.
  """

  kind: ClassVar[str] = "uniform"

  rate: float = 2.0
  side: Side = "wide"
  routing: Literal["tile", "factorised", "blockwise"] = "factorised"
  sampled: tuple[Axis, ...] = ("spatial", "input", "output")
  margin: int = 0
  only: tuple[str, ...] = ("*",)
  keep: tuple[str, ...] = ()
  keep_first: bool = True
  keep_depthwise: bool = True

  def plan(self, inventory: Inventory) -> plans.Plan:
    """See the class.

    Raises:
      UserError: if the rate is below 1 or a pattern matches no kernel.
    """
    if not self.rate >= 1:
      raise UserError(f"planner.rate={self.rate} must be at least 1 (1 is dense).")
    generators = {}
    for use in self.compressible(inventory):
      shape = epitome_shape(use.shape, self.rate, self.side, self.margin)
      if math.prod(shape) < use.size:
        generators[use.path] = Epitome(shape, self.routing, self.sampled)
    return plans.make(inventory.kernels, generators)

  def compressible(self, inventory: Inventory) -> tuple[KernelUse, ...]:
    """The kernels that the attributes name.

    Raises:
      UserError: if a pattern of `only` or `keep` matches no kernel.
    """
    paths = [use.path for use in inventory.kernels]
    for pattern in (*self.only, *self.keep):
      if not fnmatch.filter(paths, pattern):
        known = codec.nearest(pattern, paths)
        raise UserError(f"Pattern {pattern!r} matches no kernel.{known}")

    def is_wanted(index: int, use: KernelUse) -> bool:
      return (
        any(fnmatch.fnmatchcase(use.path, pattern) for pattern in self.only)
        and not any(fnmatch.fnmatchcase(use.path, pattern) for pattern in self.keep)
        and not (self.keep_first and index == 0)
        and not (self.keep_depthwise and use.is_depthwise)
      )

    return tuple(u for i, u in enumerate(inventory.kernels) if is_wanted(i, u))


def epitome_shape(shape: Shape, rate: float, side: Side, margin: int = 0) -> Shape:
  """The largest epitome of at most 1 / rate of a kernel's weights.

  Args:
    shape: the kernel's, (*window, Cin, Cout).
    rate: at least 1; at infinity the epitome has one channel on both sides.
    side: the channel axis to shorten first; the other follows once it has one
      channel. For `both` the two shrink alike.
    margin: see `UniformPlanner`.

  Returns:
    (*window', Ci, Co). A rate the channels cannot express is rounded up, unless
    they are at one channel already.
  """
  *window, inputs, outputs = shape
  grown = [size + margin if size > 1 else size for size in window]
  # The pairs of input and output channels that the epitome may have.
  pairs = inputs * outputs * math.prod(window) / math.prod(grown) / rate
  if side == "both":
    ratio = math.sqrt(inputs * outputs / max(pairs, 1.0))
    rows = min(inputs, max(1, round(inputs / ratio)))
    columns = min(outputs, max(1, int(pairs / rows + 1e-9)))
  elif side == "input" or (side == "wide" and inputs > outputs):
    rows = min(inputs, max(1, int(pairs / outputs + 1e-9)))
    columns = min(outputs, max(1, int(pairs / rows + 1e-9)))
  else:
    columns = min(outputs, max(1, int(pairs / inputs + 1e-9)))
    rows = min(inputs, max(1, int(pairs / columns + 1e-9)))
  return (*grown, rows, columns)
