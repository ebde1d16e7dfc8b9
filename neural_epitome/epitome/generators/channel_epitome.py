"""Channels that share: each one of an axis is a channel of the epitome, times a factor.

With one output channel a replica, a routing map says which channels are the same up to
a factor, and not where whole blocks start:

    W[..., n] = scale[n] * E[..., (n + offset[n]) mod cells]

along the output axis; along the input axis, m takes the place of n. An order of the
channels and a tile after it is a special case. Trained kernels are better fitted so
than by blocks, whose channels are bound to each other; it costs an offset and a factor
a channel.
"""

import dataclasses
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.domains import Count
from neural_epitome.epitome import sampling
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

_AXIS = {"input": -2, "output": -1}


@dataclasses.dataclass(frozen=True)
class ChannelEpitome(GeneratorSpec):
  """A kernel whose channels are read from an epitome one by one.

  Attributes:
    cells: channels of the epitome along the axis that is shared.
    axis: the axis that is shared, `input` or `output`.
  """

  kind: ClassVar[str] = "channel_epitome"

  cells: Count
  axis: Literal["input", "output"] = "output"

  def check(self, shape: Shape) -> None:
    """Raises UserError unless the epitome has fewer channels than the kernel."""
    channels = shape[_AXIS[self.axis]]
    if not 1 <= self.cells <= channels:
      raise UserError(
        f"ChannelEpitome(cells={self.cells}, axis={self.axis!r}) cannot generate a "
        f"kernel of shape {list(shape)}: its cells must lie in [1, {channels}]."
      )

  def tensors(self, shape: Shape) -> dict[str, Shape]:
    """The `epitome`, short on the axis, and a `scale` (channels,)."""
    small = list(shape)
    small[_AXIS[self.axis]] = self.cells
    return {"epitome": tuple(small), "scale": (shape[_AXIS[self.axis]],)}

  def offsets(self, shape: Shape) -> dict[str, Shape]:
    """One offset for each channel of the kernel's shared axis."""
    return {self.axis: (shape[_AXIS[self.axis]],)}

  def start_cells(self, shape: Shape) -> dict[str, Shape]:
    """An offset may start at any of the epitome's channels."""
    del shape
    return {self.axis: (self.cells,)}

  def tensor_bits(self, role: str) -> int | None:
    """Factors are few and stay in float32."""
    return 32 if role == "scale" else None

  def init(
    self, key: Array, shape: Shape, offsets: Tensors, initializer: Initializer
  ) -> dict[str, Array]:
    """Channels of a kernel drawn in full, so with its fan-in; scales are signs."""
    del offsets
    drawn = initializer(key, shape)
    epitome = jax.lax.slice_in_dim(drawn, 0, self.cells, axis=_AXIS[self.axis])
    key_of_signs = jax.random.fold_in(key, 0)
    count = (shape[_AXIS[self.axis]],)
    signs = jax.random.rademacher(key_of_signs, count, jnp.float32)
    return {"epitome": epitome, "scale": signs}

  def generate(self, tensors: Tensors, offsets: Tensors, shape: Shape) -> Array:
    """A gather of channels, blended where an offset is fractional."""
    axis = _AXIS[self.axis]
    kernel = self._channels(jnp.asarray(tensors["epitome"]), offsets[self.axis], axis)
    return kernel * _along(tensors["scale"], axis, kernel.ndim)

  def _channels(self, cells: Array, offset: Any, axis: int) -> Array:
    places = np.arange(offset.shape[0], dtype=np.float32)
    if isinstance(offset, np.ndarray) and np.array_equal(offset, np.round(offset)):
      # Known when the program is made: a gather and no arithmetic.
      read = np.mod(places + offset, self.cells).astype(np.int32)
      return jnp.take(cells, read, axis, mode="clip")
    low, fraction = sampling.split_circular(jnp.asarray(places + offset), self.cells)
    near = jnp.take(cells, low, axis, mode="clip")
    far = jnp.take(cells, (low + 1) % self.cells, axis, mode="clip")
    fraction = _along(fraction, axis, cells.ndim).astype(cells.dtype)
    return near + fraction * (far - near)

  def fold(
    self,
    x: Array,
    tensors: Tensors,
    offsets: Tensors,
    shape: Shape,
    application: Application,
  ) -> Array | None:
    """The epitome's channels computed once each, then gathered; not on the input.

    Input channels that share would have to be summed one by one, which no backend does
    as fast as the convolution that it saves.
    """
    if self.axis == "input" or application.feature_group_count > 1:
      return None
    y = application(x, tensors["epitome"].astype(x.dtype))
    y = self._channels(y, offsets["output"], -1)
    return y * _along(tensors["scale"].astype(y.dtype), -1, y.ndim)

  def cost(self, use: KernelUse, folded: bool = False) -> Cost:
    """Folded, the epitome's convolution and a product with the factor."""
    dense = super().cost(use)
    if not folded or self.axis == "input" or use.feature_group_count > 1:
      return dense
    reads = use.size // use.shape[-1]
    madds = (reads * self.cells + use.shape[-1]) * use.positions
    return dataclasses.replace(dense, madds=madds)

  def reroute(
    self,
    kernel: np.ndarray,
    tensors: Tensors,
    offsets: Tensors,
    importance: np.ndarray,
  ) -> dict[str, np.ndarray]:
    """Each channel goes to the cell whose direction, or its opposite, is nearest.

    A cell that none chooses is given the channel that is fitted worst: spherical
    k-means with signs (Dhillon and Modha, 2001).
    """
    del offsets
    axis = _AXIS[self.axis]
    root = np.sqrt(importance)[:, None]
    # Channels of the input count as much as they are worth, and all numbers of one
    # alike: its cell is chosen without.
    cells = np.asarray(tensors["epitome"]) * (root if axis == -1 else 1.0)
    rows = np.moveaxis(kernel * root, axis, 0).reshape(kernel.shape[axis], -1)
    cells = np.moveaxis(cells, axis, 0).reshape(self.cells, -1)
    norms = np.linalg.norm(cells, axis=1, keepdims=True)
    met = np.abs(rows @ (cells / np.maximum(norms, 1e-30)).T)
    chosen = met.argmax(1)
    left = np.sum(rows**2, 1) - met.max(1) ** 2
    unused = np.setdiff1d(np.arange(self.cells), chosen)
    # Of a cell's channels one stays, or the next round would find it unused.
    is_spare = np.ones(len(rows), bool)
    is_spare[np.unique(chosen, return_index=True)[1]] = False
    worst = np.argsort(np.where(is_spare, -left, np.inf))[: len(unused)]
    chosen[worst] = unused[: len(worst)]
    offset = (chosen - np.arange(len(rows))) % self.cells
    return {self.axis: offset.astype(np.float32)}


@dataclasses.dataclass(frozen=True)
class ChannelEpitomeRule(Rule):
  """As many cells as a size allows.

  Attributes:
    side: the axis whose channels share; `wide` is the longer one (the output where
      they are equal).
  """

  kind: ClassVar[str] = "channel_epitome"

  side: Literal["wide", "input", "output"] = "wide"

  def at(self, use: KernelUse, stored: int, below: float = 0.01) -> GeneratorSpec:
    """See `Rule.at`; a kernel that is allowed its own size stays dense."""
    del below
    if stored >= use.size:
      return Dense()
    step = use.size // use.shape[_AXIS[self._axis(use)]]
    cells = max(1, (stored - self._beside(use) + step // 2) // step)
    generator = ChannelEpitome(cells, self._axis(use))
    if generator.stored(use.shape) > at_most(stored) and cells > 1:
      generator = dataclasses.replace(generator, cells=cells - 1)
    if generator.stored(use.shape) > at_most(stored):
      fewest = self.smallest(use)
      raise self.refuse(use, stored, f"its channels' maps take {fewest:,} at least")
    return generator

  def smallest(self, use: KernelUse) -> int:
    """See `Rule.smallest`: one cell."""
    return ChannelEpitome(1, self._axis(use)).stored(use.shape)

  def _axis(self, use: KernelUse) -> Literal["input", "output"]:
    if self.side != "wide":
      return self.side
    return "input" if use.shape[-2] > use.shape[-1] else "output"

  def _beside(self, use: KernelUse) -> int:
    return 2 * use.shape[_AXIS[self._axis(use)]]


def _along(vector: Array, axis: int, ndim: int) -> Array:
  """A vector along one axis, counted from the last, of an array."""
  return vector.reshape((1,) * (ndim + axis) + (-1,) + (1,) * (-1 - axis))
