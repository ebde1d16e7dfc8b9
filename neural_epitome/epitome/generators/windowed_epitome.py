"""Small windows of a kernel, each read from a ring at a start of its own.

The kernel is cut into windows of d weights: all taps of one input, or a few inputs of
one tap. The epitome is a ring of L numbers, which several kernels may share, and every
window stores where on it its d numbers begin:

    W[window j of output o] = scale[o] * ring[(start_j + 0 .. d - 1) mod L].

So a weight costs log2(L) / d bits and a share of the scale of its output; the ring
costs next to nothing, and it offers L different windows because they overlap. It is
vector quantisation (Gersho and Gray, 1992) with an epitome for a code book: L code
words cost L numbers instead of L d.

A start between two cells blends their windows, as the paper's sampler does (Neural
Epitome Search, section 3), so starts can be learned by gradient; `routing.freeze`
rounds them. Where they come as integers one gather is all there is.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.epitome.generators.base import (
  Array,
  GeneratorSpec,
  Initializer,
  Shape,
  SharingRule,
  Tensors,
)
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError

# Windows whose nearest start is found in one product of matrices.
_BLOCK = 4096


@dataclasses.dataclass(frozen=True)
class WindowedEpitome(GeneratorSpec):
  """A kernel of windows of a ring, see the module.

  Attributes:
    length: numbers of the ring, at least those of a window.
    window: extents of a window along the kernel's axes but the last: its spatial axes
      and its inputs. Where they do not divide the kernel, what the last windows have
      too much is cut; their starts are stored all the same.
  """

  kind: ClassVar[str] = "windowed_epitome"
  sources: ClassVar[tuple[str, ...]] = ("free", "fixed")

  length: int
  window: tuple[int, ...]

  def check(self, shape: Shape) -> None:
    """Raises UserError unless windows fit the kernel and the ring holds one."""
    is_fitting = len(self.window) == len(shape) - 1 and all(
      1 <= extent <= size for extent, size in zip(self.window, shape, strict=False)
    )
    if not is_fitting:
      raise UserError(
        f"WindowedEpitome(window={list(self.window)}) does not fit a kernel of shape "
        f"{list(shape)}: it needs an extent of 1 up to the kernel's for each axis but "
        "the last."
      )
    size = math.prod(self.window)
    most = math.prod(shape)
    if not size <= self.length <= most:
      raise UserError(
        f"WindowedEpitome(length={self.length}) cannot generate a kernel of shape "
        f"{list(shape)}: a ring has from {size} numbers, those of a window, to {most}, "
        "those of the kernel."
      )

  def tensors(self, shape: Shape) -> dict[str, Shape]:
    """The `ring` (length,) and a `scale` (Cout,)."""
    return {"ring": (self.length,), "scale": (shape[-1],)}

  def tensor_bits(self, role: str) -> int | None:
    """Scales are few and stay in float32."""
    return 32 if role == "scale" else None

  def offsets(self, shape: Shape) -> dict[str, Shape]:
    """A `start` a window, (windows along each axis ..., Cout)."""
    counts = (-(-n // w) for n, w in zip(shape[:-1], self.window, strict=True))
    return {"start": (*counts, shape[-1])}

  def start_cells(self, shape: Shape) -> dict[str, Shape]:
    """A window may start at every number of the ring."""
    del shape
    return {"start": (self.length,)}

  def offset_bits(self, axis: str) -> int:
    """As many as tell the cells of the ring apart."""
    del axis
    return max(1, (self.length - 1).bit_length())

  def init(
    self, key: Array, shape: Shape, offsets: Tensors, initializer: Initializer
  ) -> dict[str, Array]:
    """A ring of normal numbers, of mean 0 and variance 1; scales bring the variance."""
    del offsets
    size = jnp.std(initializer(jax.random.fold_in(key, 1), shape))
    ring = jax.random.normal(key, (self.length,))
    ring = (ring - jnp.mean(ring)) / jnp.std(ring)
    return {"ring": ring, "scale": jnp.full(shape[-1], size)}

  def generate(self, tensors: Tensors, offsets: Tensors, shape: Shape) -> Array:
    """A gather of windows, see the module."""
    start = jnp.asarray(offsets["start"])
    table = self._table(tensors["ring"])
    if jnp.issubdtype(start.dtype, jnp.integer):
      windows = self._read(table, start)
    else:
      cell = jnp.floor(start)
      share = (start - cell)[..., None]
      first = cell.astype(jnp.int32)
      windows = self._read(table, first) * (1.0 - share)
      windows = windows + self._read(table, first + 1) * share
    scale = tensors["scale"].reshape((1,) * (len(shape) - 1) + (-1,))
    return self._together(windows, shape) * scale

  def _table(self, ring: Array) -> Array:
    """Every window of the ring, (length, d)."""
    size = math.prod(self.window)
    return jnp.stack([jnp.roll(ring, -tap) for tap in range(size)], -1)

  def _read(self, table: Array, start: Array) -> Array:
    return table.at[start % self.length].get(mode="promise_in_bounds")

  def _together(self, windows: Array, shape: Shape) -> Array:
    """(counts ..., Cout, d) -> the kernel."""
    counts, axes = windows.shape[:-2], len(self.window)
    windows = windows.reshape(*counts, shape[-1], *self.window)
    order = [i for a in range(axes) for i in (a, axes + 1 + a)]
    windows = windows.transpose(*order, axes)
    full = [n * w for n, w in zip(counts, self.window, strict=True)]
    windows = windows.reshape(*full, shape[-1])
    return windows[tuple(slice(size) for size in shape)]

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
    shape, scale = kernel.shape, np.asarray(tensors["scale"])
    worth = np.broadcast_to(importance[:, None], shape)
    wanted = self._apart(kernel * worth * (-2.0 * scale))
    read = self._apart(worth * scale**2)
    rows = np.concatenate([wanted, read], -1).astype(np.float32)
    table = self._table(jnp.asarray(tensors["ring"]))
    starts = _nearest(rows, np.asarray(jnp.concatenate([table, table**2], -1).T))
    return {"start": starts.reshape(self.offsets(shape)["start"]).astype(np.float32)}

  def _apart(self, kernel: np.ndarray) -> np.ndarray:
    """The kernel -> (windows, d); what windows have too much counts nothing."""
    counts = self.offsets(kernel.shape)["start"][:-1]
    full = [n * w for n, w in zip(counts, self.window, strict=True)]
    room = [(0, n - size) for n, size in zip(full, kernel.shape, strict=False)]
    kernel = np.pad(kernel, [*room, (0, 0)])
    split = [n for pair in zip(counts, self.window, strict=True) for n in pair]
    axes = len(self.window)
    order = [*range(0, 2 * axes, 2), 2 * axes, *range(1, 2 * axes, 2)]
    parts = kernel.reshape(*split, kernel.shape[-1]).transpose(order)
    return parts.reshape(-1, math.prod(self.window))


def _nearest(rows: np.ndarray, table: np.ndarray) -> np.ndarray:
  """The column of `table` with which each row's product is least."""
  found = []
  for begin in range(0, len(rows), _BLOCK):
    block = rows[begin : begin + _BLOCK]
    # One shape, so one program; what is left over is cut.
    padded = np.pad(block, [(0, _BLOCK - len(block)), (0, 0)])
    found.append(np.asarray(_least(padded, table))[: len(block)])
  return np.concatenate(found)


@jax.jit
def _least(rows: Array, table: Array) -> Array:
  return jnp.argmin(rows @ table, -1)


@dataclasses.dataclass(frozen=True)
class WindowedEpitomeRule(SharingRule):
  """One ring for all kernels, read in windows.

  The size follows from its attributes, not from a rate: log2(length) / d bits a weight.

  Attributes:
    length: of the ring; longer keeps more, one bit a window for twice the length.
    taps: whether a window has all taps of one input, where the kernel has taps.
    inputs: of a window of a kernel without taps (and of each tap, without `taps`).
  """

  kind: ClassVar[str] = "windowed_epitome"
  is_fixed: ClassVar[bool] = True
  shared: ClassVar[Mapping[str, str]] = {"ring": "ring"}

  length: int = 2048
  taps: bool = True
  inputs: int = 8

  def of(self, use: KernelUse, length: int) -> WindowedEpitome:
    """The generator of a kernel on a ring of `length`."""
    taps, (*spatial, inputs) = math.prod(use.shape[:-2]), use.shape[:-1]
    if self.taps and taps > 1:
      return WindowedEpitome(length, (*spatial, 1))
    ones = (1,) * len(spatial)
    return WindowedEpitome(length, (*ones, min(self.inputs, inputs)))

  def together(
    self, uses: Sequence[KernelUse], stored: int
  ) -> dict[str, GeneratorSpec]:
    """See `SharingRule.together`; `stored` is not heeded, the size is fixed.

    Raises:
      UserError: if the ring is longer than the smallest kernel, naming it.
    """
    del stored
    for use in uses:
      if use.size < self.length:
        raise UserError(
          f"A ring of length={self.length} is longer than {use.path} "
          f"{list(use.shape)}, which has {use.size:,} weights: shorten it or keep the "
          "kernel dense (planner.keep)."
        )
    return {use.path: self.of(use, self.length) for use in uses}

  def smallest_together(self, uses: Sequence[KernelUse]) -> int:
    """See `SharingRule.smallest_together`."""
    generators = self.together(uses, 0)
    each = (
      g.stored(use.shape) - self.length for use in uses for g in [generators[use.path]]
    )
    return self.length + sum(each)

  def at(self, use: KernelUse, stored: int, below: float = 0.01) -> GeneratorSpec:
    """See `Rule.at`: a ring for this kernel alone."""
    del below
    return self.together([use], stored)[use.path]

  def smallest(self, use: KernelUse) -> int:
    """See `Rule.smallest`."""
    return self.smallest_together([use])
