"""Arrays of a file of weights before they are read: shape, type, how to read one."""

import dataclasses
import math
from collections.abc import Callable, Hashable

import ml_dtypes
import numpy as np

from neural_epitome.errors import UserError

FLOATING = ("float16", "bfloat16", "float32", "float64")
_INTEGERS = (
  "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip
# No file of a network has longer names; tables and messages are to hold them.
_LONGEST_NAME = 1000
_SHOWN = 60
# Zeros can be packed to a thousandth; no network is of zeros alone.
_MOST_UNPACKED, _ALWAYS = 64, 2**24


@dataclasses.dataclass(frozen=True)
class Leaf:
  """An array of a file.

  Attributes:
    shape: of it.
    dtype: NumPy's name of its type in the file, or what the format calls a type that
      NumPy has not, as those of quantised numbers.
    load: reads it: float32 for every floating type, else as it is.
    place: in a file that may hold one array under several names, what all of them have
      in common; None in others.
  """

  shape: tuple[int, ...]
  dtype: str
  load: Callable[[], np.ndarray]
  place: Hashable = None

  @property
  def size(self) -> int:
    """How many numbers."""
    return math.prod(self.shape)

  @property
  def is_floating(self) -> bool:
    """Whether its numbers may be trained."""
    return self.dtype in FLOATING

  @property
  def is_known(self) -> bool:
    """Whether its type is one that is read."""
    return self.is_floating or self.dtype in _INTEGERS


def of_array(array: np.ndarray) -> Leaf:
  """A leaf of what has been read."""
  return Leaf(array.shape, array.dtype.name, lambda: widened(array))


def numpy_dtype(name: str) -> np.dtype:
  """NumPy's type of a name in `Leaf.dtype`, bfloat16 as well."""
  return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def largest(dtype: np.dtype) -> float:
  """The largest number of a floating type."""
  return float(ml_dtypes.finfo(dtype).max)


def widened(array: np.ndarray) -> np.ndarray:
  """Float32 for every floating type; integers stay as they are."""
  if array.dtype.kind in "biu":
    return array
  with np.errstate(over="ignore"):  # what float32 cannot hold is infinite
    return array.astype(np.float32, copy=False)


def check_room(needed: int, room: int) -> None:
  """Raises UserError if a file would take far more memory than its size.

  Args:
    needed: bytes of its arrays.
    room: bytes of the file.
  """
  if needed > max(_MOST_UNPACKED * room, _ALWAYS):
    raise UserError(
      f"of {room:,} bytes would take {needed:,} of memory, more than {_MOST_UNPACKED} "
      "times as many. Save it again without compression."
    )


def check_name(name: str) -> None:
  """Raises UserError if this cannot be the name of an array.

  Names go into tables, files and messages: they are text of one line.
  """
  if not name or len(name) > _LONGEST_NAME or not name.isprintable():
    raise UserError(
      f"has an array of the name {shown(name)}; names are of 1 to {_LONGEST_NAME:,} "
      "characters that can be printed. Save it again under other names."
    )


def shown(name: object, most: int = _SHOWN) -> str:
  """A name in a message, whatever it holds, in quotes where they are needed."""
  text = str(name)
  if len(text) > most:
    text = text[: most // 2] + "..." + text[-most // 2 :]
  return text if text.isprintable() and text.strip() else ascii(text)
