"""Small windows of a kernel, each read from a ring at a start of its own.

The kernel is cut into windows of d weights: all taps of one input, a few inputs of one
tap, or neighbouring outputs. The epitome is a ring of L numbers, which several kernels
may share, and every window stores where on it its d numbers begin:

    W[window j of output o] = scale[o] * ring[(start_j + 0 .. d - 1) mod L].

So a weight costs log2(L) / d bits and a share of the scale of its output; the ring
costs next to nothing, and it offers L different windows because they overlap. It is
vector quantisation (Gersho and Gray, 1992) with an epitome for a code book: L code
words cost L numbers instead of L d. A window of one weight makes the ring a palette.

Some starts are more frequent than others: in a file they may be entropy coded, see
`compression.entropy_coding`.

A start between two cells blends their windows, as the paper's sampler does (Neural
Epitome Search, section 3), so starts can be learned by gradient; `routing.freeze`
rounds them. Where they come as integers one gather is all there is.
"""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.domains import Count, Whole
from neural_epitome.epitome import windows
from neural_epitome.epitome.generators.base import (
  Array,
  GeneratorSpec,
  Initializer,
  Shape,
  Tensors,
)
from neural_epitome.errors import UserError

# Starts that a coded file tells apart.
MOST_CODED = 2**14


@dataclasses.dataclass(frozen=True)
class WindowedEpitome(GeneratorSpec):
  """A kernel of windows of a ring, see the module.

  Attributes:
    length: numbers of the ring, at least those of a window.
    window: extents of a window along the kernel's axes, (*window, Cin, Cout); without
      the last one it has one output. Where they do not divide the kernel, what the
      last windows have too much is cut; their starts are stored all the same.
    scaled: whether every output has a scale of its own.
    coded_bytes: of the entropy-coded starts in a file; None where they are packed, each
      in as many bits as tell the cells of the ring apart.
    context: axis along which the start before tells how likely a coded start is; None
      where starts are coded each by itself.
  """

  kind: ClassVar[str] = "windowed_epitome"
  sources: ClassVar[tuple[str, ...]] = ("free", "fixed")

  length: Count
  window: tuple[Count, ...]
  scaled: bool = True
  coded_bytes: Whole | None = None
  context: Whole | None = None

  def extents(self, shape: Shape) -> tuple[int, ...]:
    """Of a window along every axis of a kernel of this shape."""
    return (*self.window, 1)[: len(shape)]

  def check(self, shape: Shape) -> None:
    """Raises UserError unless windows fit the kernel and the ring holds one."""
    extents = self.extents(shape)
    is_fitting = len(shape) in (len(self.window), len(self.window) + 1) and all(
      1 <= extent <= size for extent, size in zip(extents, shape, strict=True)
    )
    if not is_fitting:
      raise UserError(
        f"WindowedEpitome(window={list(self.window)}) does not fit a kernel of shape "
        f"{list(shape)}: it needs an extent of 1 up to the kernel's for each axis; the "
        "last may be left out."
      )
    size = math.prod(self.window)
    most = math.prod(shape)
    if not size <= self.length <= most:
      raise UserError(
        f"WindowedEpitome(length={self.length}) cannot generate a kernel of shape "
        f"{list(shape)}: a ring has from {size} numbers, those of a window, to {most}, "
        "those of the kernel."
      )
    if self.coded_bytes is not None and self.length > MOST_CODED:
      raise UserError(
        f"WindowedEpitome(length={self.length}) is too long for coded starts: "
        f"{MOST_CODED} is the most; coded_bytes=None packs them."
      )
    if self.context is not None and not self.context < len(shape):
      raise UserError(
        f"WindowedEpitome(context={self.context}) is no axis of a kernel of shape "
        f"{list(shape)}."
      )

  def tensors(self, shape: Shape) -> dict[str, Shape]:
    """The `ring` (length,) and, if there is one, a `scale` (Cout,)."""
    scale: dict[str, Shape] = {"scale": (shape[-1],)} if self.scaled else {}
    return {"ring": (self.length,)} | scale

  def tensor_bits(self, role: str) -> int | None:
    """Scales are few and stay in float32, or float16 where starts are coded."""
    if role != "scale":
      return None
    return 32 if self.coded_bytes is None else 16

  def offsets(self, shape: Shape) -> dict[str, Shape]:
    """A `start` a window, (windows along each axis ...)."""
    return {"start": windows.counts(shape, self.extents(shape))}

  def start_cells(self, shape: Shape) -> dict[str, Shape]:
    """A window may start at every number of the ring."""
    del shape
    return {"start": (self.length,)}

  def offset_bits(self, axis: str) -> int:
    """As many as tell the cells of the ring apart."""
    del axis
    return max(1, (self.length - 1).bit_length())

  def coded_symbols(self, axis: str) -> int | None:
    """One a number of the ring."""
    del axis
    return None if self.coded_bytes is None else self.length

  def coded_axis(self, axis: str) -> int | None:
    """The context."""
    del axis
    return self.context

  def offset_bytes(self, axis: str, shape: Shape) -> int:
    """Those of the coded starts, if they are coded."""
    if self.coded_bytes is None:
      return super().offset_bytes(axis, shape)
    return self.coded_bytes

  def init(
    self, key: Array, shape: Shape, offsets: Tensors, initializer: Initializer
  ) -> dict[str, Array]:
    """A ring of normal numbers, of mean 0 and variance 1; scales bring the variance."""
    del offsets
    size = jnp.std(initializer(jax.random.fold_in(key, 1), shape))
    ring = jax.random.normal(key, (self.length,))
    ring = (ring - jnp.mean(ring)) / jnp.std(ring)
    if not self.scaled:
      return {"ring": ring * size}
    return {"ring": ring, "scale": jnp.full(shape[-1], size)}

  def generate(self, tensors: Tensors, offsets: Tensors, shape: Shape) -> Array:
    """A gather of windows, see the module."""
    start, extents = jnp.asarray(offsets["start"]), self.extents(shape)
    table = windows.table(tensors["ring"], math.prod(extents))
    if jnp.issubdtype(start.dtype, jnp.integer):
      read = self._read(table, start)
    else:
      cell = jnp.floor(start)
      share = (start - cell)[..., None]
      first = cell.astype(jnp.int32)
      read = self._read(table, first) * (1.0 - share)
      read = read + self._read(table, first + 1) * share
    kernel = windows.together(read, shape, extents)
    if not self.scaled:
      return kernel
    return kernel * tensors["scale"].reshape((1,) * (len(shape) - 1) + (-1,))

  def _read(self, table: Array, start: Array) -> Array:
    return table.at[start % self.length].get(mode="promise_in_bounds")

  def first_offsets(self, shape: Shape) -> dict[str, np.ndarray]:
    """Starts drawn evenly: the mean of what then falls on a cell is a random ring."""
    random = np.random.default_rng(shape)
    starts = random.integers(self.length, size=self.offsets(shape)["start"])
    return {"start": starts.astype(np.float32)}

  def reroute(
    self,
    kernel: np.ndarray,
    tensors: Tensors,
    offsets: Tensors,
    importance: np.ndarray,
  ) -> dict[str, np.ndarray]:
    """Each window goes where its weighted squared difference is least.

    With a the window, m what its weights count, s its scale and r a window of the
    ring, that is the least of s^2 m.r^2 - 2 s (m a).r: one product of matrices with
    the windows of the ring and of its squares.
    """
    del offsets
    shape = kernel.shape
    scale = np.asarray(tensors["scale"]) if self.scaled else np.float32(1)
    extents = self.extents(shape)
    worth = np.broadcast_to(importance[:, None], shape)
    linear = windows.apart(kernel * worth * (-2.0 * scale), extents)
    square = windows.apart(worth * scale**2, extents)
    rows = np.concatenate([linear, square], -1).astype(np.float32)
    places = windows.places(self.length, linear.shape[-1])
    table = np.asarray(tensors["ring"])[places]
    starts = windows.cheapest(rows, np.concatenate([table, table**2], -1))
    return {"start": starts.reshape(self.offsets(shape)["start"]).astype(np.float32)}
