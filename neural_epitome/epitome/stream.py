"""A residual stream that is read wrapped, and so never made at its full width.

What a tile replicates along its outputs, a tile behind it that wraps its inputs adds up
again. With nothing but batch norms and sums between the two,

    wrap(replicate(y) * scale + shift + x) = y * wrap(scale) + wrap(shift) + wrap(x)

holds number by number, so from layer to layer the stream has the channels of the
epitomes. A reader that wraps asks for it `wrapped`, any other one for it `full`, and
what nobody asks for is not computed. For programs that only run: batch statistics, and
gradients, are those of the full stream.

Where a runtime wants more channels than that (`convolution.least_channels`), those who
write a stream add channels of zeros behind, and those who read it zeros to meet them.
"""

import abc
import functools
from typing import Any

import jax.numpy as jnp
from jax import lax

from neural_epitome.epitome import convolution, sampling
from neural_epitome.epitome.sampling import Array

# So many blocks are added one by one, which is faster than a reduction.
_FEW = 16


class Stream(abc.ABC):
  """An activation (batch, ..., channels) in one of two forms, or both.

  Attributes:
    shape: of the activation at its full width.
    dtype: of its numbers.
    cells: channels of the narrow form, which readers that wrap to so many can use.
  """

  def __init__(self, shape: tuple[int, ...], dtype: jnp.dtype, cells: int):
    """Sets the attributes; see the class."""
    self.shape, self.ndim, self.dtype = shape, len(shape), dtype
    self.cells = cells
    self.full = functools.cache(self._full)
    self.wrapped = functools.cache(self._wrapped)

  @abc.abstractmethod
  def _full(self) -> Array:
    """The activation."""

  @abc.abstractmethod
  def _wrapped(self, cells: int) -> Array:
    """(batch, ..., cells or more): the sum of its blocks of so many channels."""

  def __add__(self, other: "Stream | Array") -> "Stream":
    """The sum; broadcasts nothing."""
    return Sum(self, other)

  __radd__ = __add__

  def astype(self, dtype: Any) -> "Stream | Array":
    """Itself if it has this dtype, and else the full activation converted to it."""
    return self if dtype == self.dtype else self.full().astype(dtype)


class Replicated(Stream):
  """Copies of a narrow activation beside each other, scaled and shifted by channel."""

  def __init__(
    self,
    narrow: Array,
    channels: int,
    cells: int,
    scale: Array | None = None,
    shift: Array | None = None,
  ):
    """Holds on to its parts.

    Args:
      narrow: (batch, ..., cells or more), zeros behind.
      channels: of the copies together, the last of which may be cut.
      cells: channels of a copy.
      scale: (channels,); None for ones.
      shift: (channels,); None for zeros.
    """
    super().__init__((*narrow.shape[:-1], channels), narrow.dtype, cells)
    self._narrow, self._scale, self._shift = narrow, scale, shift

  def scaled(self, scale: Any, shift: Any) -> "Replicated":
    """Times `scale`, plus `shift`, arrays (channels,) both or None."""
    scales = [a for a in (self._scale, scale) if a is not None]
    shifts = [a for a in (self._shift,) if a is not None]
    shifts = [a if scale is None else a * scale for a in shifts]
    shifts += [] if shift is None else [shift]
    return Replicated(
      self._narrow,
      self.shape[-1],
      self.cells,
      functools.reduce(jnp.multiply, scales) if scales else None,
      functools.reduce(jnp.add, shifts) if shifts else None,
    )

  def _full(self) -> Array:
    narrow = self._narrow[..., : self.cells]
    y = sampling.repeat_shifted(narrow, None, self.shape[-1], -1)
    return self._affine(convolution.scalable(y), self._scale, self._shift)

  def _wrapped(self, cells: int) -> Array:
    if cells != self.cells:
      return wrap(self.full(), cells)
    scale = jnp.ones(self.shape[-1:]) if self._scale is None else self._scale
    shift = jnp.zeros(self.shape[-1:]) if self._shift is None else self._shift
    behind = self._narrow.shape[-1]
    scale, shift = (zeros_behind(wrap(a, cells), -1, behind) for a in (scale, shift))
    return self._affine(self._narrow, scale, shift)

  def _affine(self, y: Array, scale: Array | None, shift: Array | None) -> Array:
    wide, ones = y.astype(jnp.float32), (1,) * (y.ndim - 1)
    wide = wide if scale is None else wide * scale.reshape(*ones, -1)
    wide = wide if shift is None else wide + shift.reshape(*ones, -1)
    return wide.astype(y.dtype)


class Sum(Stream):
  """Two activations added, of which at least one is a stream."""

  def __init__(self, one: Stream, other: Stream | Array):
    """Keeps both; they are added when a reader needs the sum."""
    assert one.shape == other.shape
    super().__init__(one.shape, one.dtype, one.cells)
    self._parts = one, other

  def _full(self) -> Array:
    one, other = map(full, self._parts)
    return one + other

  def _wrapped(self, cells: int) -> Array:
    parts = [wrapped(part, cells) for part in self._parts]
    channels = max(part.shape[-1] for part in parts)
    one, other = (zeros_behind(part, -1, channels) for part in parts)
    return one + other


def full(x: Stream | Array) -> Array:
  """The activation at its full width, (batch, ..., channels)."""
  return x.full() if isinstance(x, Stream) else x


def wrapped(x: Stream | Array, cells: int) -> Array:
  """An activation wrapped to `cells` channels: the sum of its blocks of so many.

  A stream may have further channels of zeros behind these.
  """
  return x.wrapped(cells) if isinstance(x, Stream) else wrap(x, cells)


def wrap(x: Array, cells: int) -> Array:
  """Channel wrapping, the transpose of replicating on the last axis.

  Args:
    x: (..., channels).
    cells: at most `channels`.

  Returns:
    (..., cells): the sum of the blocks of so many channels, the last one padded with
    zeros.
  """
  count = -(-x.shape[-1] // cells)
  if count <= _FEW:
    return functools.reduce(jnp.add, blocks(x, cells))
  x = zeros_behind(x, -1, count * cells)
  return jnp.sum(x.reshape(*x.shape[:-1], count, cells), axis=-2)


def zeros_behind(x: Array, axis: int, size: int) -> Array:
  """`x` with zeros behind along an axis, so that its extent there is `size`."""
  more = size - x.shape[axis]
  if not more:
    return x
  widths = [(0, 0)] * x.ndim
  widths[axis] = (0, more)
  return jnp.pad(x, widths)


def blocks(x: Array, cells: int) -> list[Array]:
  """The blocks of `cells` channels of x, the last one padded with zeros."""
  whole, rest = divmod(x.shape[-1], cells)
  sizes = [cells] * whole + [rest] * (rest > 0)
  parts = list(lax.split(x, sizes, x.ndim - 1))
  return [zeros_behind(block, -1, cells) for block in parts]
