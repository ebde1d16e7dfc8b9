"""Architectures as a search sees them: arrays of integers, one number a choice."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

# The kernels of a block that have rates and bits, by their axis of hidden channels, and
# where they stand on the last axis of both fields: the one that makes these channels
# and the one that reads them. The last row is of head and classifier, a block whose
# hidden channels are the head's.
KERNELS = {-1: 0, -2: 1}
FIELDS = ("window", "width", "operation", "rate", "bits")


@dataclasses.dataclass(frozen=True, eq=False)
class ArchEncoding:
  """Base of architecture encodings: dataclasses whose fields are arrays of integers.

  Two encodings of one class are equal, and hash alike, where all their numbers are
  equal. That makes them keys of dictionaries, which arrays are not.
  """

  @functools.cached_property
  def key(self) -> tuple[tuple[int, ...], ...]:
    """The numbers of each field, flat, in the order of the fields."""
    return tuple(tuple(np.ravel(value).tolist()) for value in self._fields.values())

  @property
  def _fields(self) -> dict[str, Any]:
    return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

  def __eq__(self, other: object) -> bool:
    """Whether `other` is of the same class and has the same numbers."""
    return type(other) is type(self) and self.key == other.key

  def __hash__(self) -> int:
    """Of the numbers, which must not be traced."""
    return hash(self.key)

  def to_json(self) -> dict[str, Any]:
    """The arrays as nested lists, by field name."""
    return {name: np.asarray(value).tolist() for name, value in self._fields.items()}


@functools.partial(
  jax.tree_util.register_dataclass, data_fields=list(FIELDS), meta_fields=[]
)
@dataclasses.dataclass(frozen=True, eq=False)
class Arch(ArchEncoding):
  """One choice of a space of chains.

  The arrays are of int32, for L blocks. With a batch axis in front of each they are the
  choices of a batch, one for each example.

  Attributes:
    window: (L,) height and width of the spatial kernels.
    width: (L,) hidden channels; 0 leaves the block out.
    operation: (L,) index into `chain.OPERATIONS`.
    rate: (L + 1, 2) epitome rate of the two kernels in `KERNELS`, of each block and
      then of head and classifier: how many channels share one of the epitome.
    bits: (L + 1, 2) of a stored number of the same kernels; 32 is float32.
  """

  window: Any
  width: Any
  operation: Any
  rate: Any
  bits: Any
