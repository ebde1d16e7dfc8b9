"""Low rank: the kernel as a matrix W = U V.

The kernel is read as a matrix of one row an input tap and one column an output
channel, so the layer is a convolution with `rank` outputs and a 1x1 one after it
(scheme 1 of Jaderberg et al., arXiv 1405.3866, reads it otherwise; this is the
form of Denton et al., arXiv 1404.0736, on one side). Inputs may be left out of it,
their weights zero: channel pruning and low rank in one (Collaborative Compression, Li
et al., arXiv 2105.11228).
"""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.domains import Count, Whole
from neural_epitome.epitome.generators.base import (
  Array,
  Cost,
  GeneratorSpec,
  Initializer,
  Rule,
  Shape,
  Tensors,
  at_most,
)
from neural_epitome.epitome.generators.dense import Dense
from neural_epitome.epitome.geometry import Application, KernelUse
from neural_epitome.errors import UserError


@dataclasses.dataclass(frozen=True)
class LowRank(GeneratorSpec):
  """A kernel of limited rank.

  Attributes:
    rank: columns of U and rows of V.
    without: input channels, ascending, of which U has no rows: their weights are zero.
  """

  kind: ClassVar[str] = "low_rank"

  rank: Count
  without: tuple[Whole, ...] = ()

  def check(self, shape: Shape) -> None:
    """Raises UserError unless the rank and the inputs are ones the kernel can have."""
    rising = sorted({channel for channel in self.without if 0 <= channel < shape[-2]})
    if list(self.without) != rising or len(rising) == shape[-2]:
      raise UserError(
        f"LowRank(without={list(self.without)}) cannot generate a kernel of shape "
        f"{list(shape)}: inputs left out are ascending, in [0, {shape[-2]}), not all."
      )
    largest = min(self._sides(shape))
    if not 1 <= self.rank <= largest:
      raise UserError(
        f"LowRank(rank={self.rank}) cannot generate a kernel of shape {list(shape)}: "
        f"its rank must lie in [1, {largest}]."
      )

  def tensors(self, shape: Shape) -> dict[str, Shape]:
    """`left` (*kernel_size, Cin less those left out, rank) and `right` (rank, Cout)."""
    inputs = shape[-2] - len(self.without)
    return {
      "left": (*shape[:-2], inputs, self.rank),
      "right": (self.rank, shape[-1]),
    }

  def kept(self, shape: Shape) -> np.ndarray:
    """The input channels that are not left out, int64."""
    return np.delete(np.arange(shape[-2]), list(self.without))

  def init(
    self, key: Array, shape: Shape, offsets: Tensors, initializer: Initializer
  ) -> dict[str, Array]:
    """Normal factors of one deviation; W has the variance of `initializer`.

    An entry of W sums `rank` products, so both deviations are
    (variance / rank) ** (1 / 4).
    """
    del offsets
    kernel_key, left_key, right_key = jax.random.split(key, 3)
    variance = jnp.mean(initializer(kernel_key, shape) ** 2)
    deviation = (variance / self.rank) ** 0.25
    shapes = self.tensors(shape)
    return {
      "left": deviation * jax.random.normal(left_key, shapes["left"]),
      "right": deviation * jax.random.normal(right_key, shapes["right"]),
    }

  def generate(self, tensors: Tensors, offsets: Tensors, shape: Shape) -> Array:
    """U V, with zeros for inputs that are left out."""
    del offsets
    left = tensors["left"]
    if self.without:
      rows = np.full(shape[-2], left.shape[-2])
      rows[self.kept(shape)] = np.arange(left.shape[-2])
      left = jnp.pad(left, [(0, 0)] * (left.ndim - 2) + [(0, 1), (0, 0)])
      left = jnp.take(left, rows, axis=-2)
    return jnp.dot(left, tensors["right"])

  def fit(self, kernel: np.ndarray, importance: np.ndarray) -> dict[str, np.ndarray]:
    """The truncated singular value decomposition, its values halved between both.

    Of the kernel with its inputs scaled by the roots of their importance, U scaled back
    (Eckart and Young, 1936, in that norm).
    """
    kept = self.kept(kernel.shape)
    kernel, scales = kernel[..., kept, :], np.sqrt(importance[kept])[:, None]
    u, values, v = np.linalg.svd((kernel * scales).reshape(-1, kernel.shape[-1]), False)
    root = np.sqrt(values[: self.rank])
    left = (u[:, : self.rank] * root).reshape(*kernel.shape[:-1], self.rank) / scales
    return {"left": left, "right": root[:, None] * v[: self.rank]}

  def scale_outputs(self, tensors: Tensors, factors: Array, shape: Shape) -> Tensors:
    """V takes the factors."""
    del shape
    return {"left": tensors["left"], "right": tensors["right"] * factors[None]}

  def fold(
    self,
    x: Array,
    tensors: Tensors,
    offsets: Tensors,
    shape: Shape,
    application: Application,
  ) -> Array | None:
    """Two layers, U and then V; not with feature groups, whose outputs V mixes."""
    del offsets
    if application.feature_group_count > 1:
      return None
    if self.without:
      x = jnp.take(x, self.kept(shape), axis=-1)
    y = application(x, tensors["left"].astype(x.dtype))
    right = tensors["right"].astype(x.dtype)
    return jnp.dot(y, right, precision=application.precision)

  def cost(self, use: KernelUse, folded: bool = False) -> Cost:
    """Folded, the multiply-adds of both layers."""
    dense = super().cost(use)
    if not folded or use.feature_group_count > 1:
      return dense
    return dataclasses.replace(
      dense, madds=self.rank * sum(self._sides(use.shape)) * use.positions
    )

  def _sides(self, shape: Shape) -> tuple[int, int]:
    """Rows of U and columns of V."""
    return math.prod(self.tensors(shape)["left"][:-1]), shape[-1]


@dataclasses.dataclass(frozen=True)
class LowRankRule(Rule):
  """The rank that a size allows."""

  kind: ClassVar[str] = "low_rank"

  def at(self, use: KernelUse, stored: int, below: float = 0.01) -> GeneratorSpec:
    """See `Rule.at`."""
    del below
    if stored >= use.size:
      return Dense()
    step = sum(_sides(use.shape))
    rank = min((stored + step // 2) // step, *_sides(use.shape))
    rank -= rank * step > at_most(stored)
    if rank < 1:
      raise self.refuse(use, stored, f"rank 1 takes {step:,}, so the rank is below 1")
    return LowRank(rank)

  def smallest(self, use: KernelUse) -> int:
    """See `Rule.smallest`."""
    return sum(_sides(use.shape))


def _sides(shape: Shape) -> tuple[int, int]:
  return math.prod(shape[:-1]), shape[-1]
