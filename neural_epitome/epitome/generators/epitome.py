"""The generator this project exists for: a kernel sampled from an epitome."""

import dataclasses
import math
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.domains import Count
from neural_epitome.epitome import folding, matching, sampling
from neural_epitome.epitome.generators.base import (
  Array,
  Cost,
  GeneratorSpec,
  Initializer,
  Shape,
  Tensors,
)
from neural_epitome.epitome.geometry import Application, KernelUse
from neural_epitome.epitome.stream import Stream
from neural_epitome.errors import UserError

Axis = Literal["spatial", "input", "output"]


@dataclasses.dataclass(frozen=True)
class Epitome(GeneratorSpec):
  """Neural Epitome Search (ICLR 2020), section 3.

  Attributes:
    shape: the epitome's shape (*kernel_size', Ci, Co), see `sampling`.
    routing: `tile` samples at offset 0 everywhere and stores no map; `factorised`
      has one offset a replica and axis, and folds; `blockwise` has its own offsets
      for every (input replica, output replica) block: more expressive at the same
      epitome, and always materialised.
    sampled: axes that have offsets at all, unless `routing` is `tile`. An axis on
      which the epitome is as long as the kernel has none in any case.
    scaled: whether every (input replica, output replica) block is multiplied by a
      stored factor of its own, sign included. A scaled tile is a Kronecker product,
      of full rank where the tile repeats its few rows. It folds where the epitome is
      short on one channel axis only.
  """

  kind: ClassVar[str] = "epitome"

  shape: tuple[Count, ...]
  routing: Literal["tile", "factorised", "blockwise"] = "factorised"
  sampled: tuple[Axis, ...] = ("spatial", "input", "output")
  scaled: bool = False

  def check(self, shape: Shape) -> None:
    """Raises UserError unless the epitome has the axes and extents it needs."""
    fits = (
      len(self.shape) == len(shape)
      and all(e >= k for e, k in zip(self.shape[:-2], shape[:-2], strict=False))
      and all(1 <= e <= k for e, k in zip(self.shape[-2:], shape[-2:], strict=False))
    )
    if not fits:
      raise UserError(
        f"An epitome of shape {list(self.shape)} cannot generate a kernel of shape "
        f"{list(shape)}: it needs the same axes, at least its kernel_size and at "
        "most its channels."
      )

  def tensors(self, shape: Shape) -> dict[str, Shape]:
    """The `epitome`, and a `scale` (R_in, R_out) if there are blocks to scale."""
    blocks = sampling.replica_counts(shape, self.shape)
    if self.scaled and math.prod(blocks) > 1:
      return {"epitome": self.shape, "scale": blocks}
    return {"epitome": self.shape}

  def offsets(self, shape: Shape) -> dict[str, Shape]:
    """Offsets by axis, of the shapes in the table of `sampling`."""
    if self.routing == "tile":
      return {}
    rows, columns = sampling.replica_counts(shape, self.shape)
    blocks = (rows, columns)
    moving = {
      "spatial": self.shape[:-2] != shape[:-2],
      "input": rows > 1,
      "output": columns > 1,
    }
    if self.routing == "blockwise":
      shapes = {"spatial": (*blocks, len(shape) - 2), "input": blocks, "output": blocks}
      # With many rows a single column's offset along the full output axis still
      # tells the rows apart, so both channel axes move as soon as either repeats.
      moving["input"] = moving["output"] = math.prod(blocks) > 1
    else:
      shapes = {"spatial": (len(shape) - 2,), "input": (rows,), "output": (columns,)}
    return {a: shapes[a] for a in shapes if moving[a] and a in self.sampled}

  def start_cells(self, shape: Shape) -> dict[str, Shape]:
    """Cells an offset may start at: the ring of a channel axis, room + 1 in space."""
    room = tuple(e - k + 1 for e, k in zip(self.shape[:-2], shape[:-2], strict=True))
    cells = {"spatial": room, "input": self.shape[-2:-1], "output": self.shape[-1:]}
    return {axis: cells[axis] for axis in self.offsets(shape)}

  def tensor_bits(self, role: str) -> int | None:
    """Factors of blocks are few and stay in float32."""
    return 32 if role == "scale" else None

  def init(
    self, key: Array, shape: Shape, offsets: Tensors, initializer: Initializer
  ) -> dict[str, Array]:
    """An epitome whose kernel has the variance of `initializer` on `shape`.

    Its entries are entries of a kernel drawn in full, so they have the fan of the
    kernel: with the epitome's own fan-in, pre-activations would be sqrt(R) too
    large. A fractional offset shrinks the variance by (1 - f)^2 + f^2 an axis; the
    mean of that over the replicas is divided out. Scales start as random signs.
    """
    count = math.prod(self.shape)
    drawn = [initializer(key, shape).reshape(-1)]
    for draw in range(1, -(-count // drawn[0].size)):
      key_of_draw = jax.random.fold_in(key, draw)
      drawn.append(initializer(key_of_draw, shape).reshape(-1))
    epitome = jnp.concatenate(drawn)[:count].reshape(self.shape)
    tensors = {"epitome": epitome / jnp.sqrt(_variance_kept(offsets))}
    if blocks := self.tensors(shape).get("scale"):
      key_of_signs = jax.random.fold_in(key, 0)
      tensors["scale"] = jax.random.rademacher(key_of_signs, blocks, jnp.float32)
    return tensors

  def generate(self, tensors: Tensors, offsets: Tensors, shape: Shape) -> Array:
    """`sampling.sample`, its blocks scaled."""
    kernel = sampling.sample(tensors["epitome"], offsets, shape)
    if "scale" not in tensors:
      return kernel
    scale = tensors["scale"]
    for axis in (-2, -1):
      scale = sampling.repeat_cells(scale, self.shape[axis], shape[axis], axis)
    return kernel * scale.reshape((1,) * (kernel.ndim - 2) + scale.shape)

  def scale_outputs(
    self, tensors: Tensors, factors: Array, shape: Shape
  ) -> Tensors | None:
    """The epitome takes the factors where each of its outputs has one of its own."""
    if self.shape[-1] != shape[-1] or "output" in self.offsets(shape):
      return None
    factors = factors.reshape((1,) * (len(shape) - 1) + (-1,))
    return {**tensors, "epitome": tensors["epitome"] * factors}

  def reroute(
    self,
    kernel: np.ndarray,
    tensors: Tensors,
    offsets: Tensors,
    importance: np.ndarray,
  ) -> dict[str, np.ndarray]:
    """The nearest start of each replica, by trying all of them, see `matching`.

    Offsets stay as they are where there are spatial ones among them: starts along the
    channels are found for windows that do not move.
    """
    arrays = {axis: np.asarray(value) for axis, value in offsets.items()}
    if not arrays or "spatial" in arrays:
      return arrays
    scale = np.asarray(tensors["scale"]) if "scale" in tensors else None
    return matching.starts(kernel, self.shape[-2:], arrays, scale, importance)

  @property
  def reads_streams(self) -> bool:
    """Whether `fold` reads streams: it does, as it wraps channels itself."""
    return True

  def fold(
    self,
    x: Array | Stream,
    tensors: Tensors,
    offsets: Tensors,
    shape: Shape,
    application: Application,
  ) -> Array | Stream | None:
    """The layer's output from a convolution with the epitome, see `folding.fold`."""
    return folding.fold(
      x, tensors["epitome"], offsets, shape, application, tensors.get("scale")
    )

  def cost(self, use: KernelUse, folded: bool = False) -> Cost:
    """Folded, one convolution with the epitome and the additions that wrap channels.

    Scaling the blocks of the input or of the output is one multiply-add an element.
    """
    dense = super().cost(use)
    rows, columns = sampling.replica_counts(use.shape, self.shape)
    is_scaled = "scale" in self.tensors(use.shape)
    if (
      not folded
      or self.routing == "blockwise"
      or (is_scaled and (use.feature_group_count > 1 or min(rows, columns) > 1))
    ):
      return dense
    inputs, outputs = use.shape[-2:]
    wrapped = self.shape[-2] if rows > 1 else inputs
    small = self.shape[-1] if use.feature_group_count == 1 else outputs
    scaling = inputs * use.input_positions if rows > 1 else outputs * use.positions
    return dataclasses.replace(
      dense,
      madds=math.prod(use.kernel_size) * wrapped * small * use.positions
      + (scaling if is_scaled else 0),
      adds=(inputs - wrapped) * use.feature_group_count * use.input_positions,
    )


def _variance_kept(offsets: Tensors) -> Array:
  """Share of the epitome's variance that interpolation leaves to the kernel."""
  kept = jnp.float32(1.0)
  for axis, starts in offsets.items():
    fraction = starts - jnp.floor(starts)
    factor = (1.0 - fraction) ** 2 + fraction**2
    if axis == "spatial":
      factor = jnp.prod(factor, axis=-1)
    kept = kept * jnp.mean(factor)
  return kept
