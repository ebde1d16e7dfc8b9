"""A choice of a space: small arrays of integers, a tree of JAX."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

# A block's kernels that have rates and bits, in the order of the last axis of both, and
# those of the last row: what comes after the blocks is a block of its own kind, whose
# hidden channels are the head's.
KERNELS = ("expand", "project")
LAST_KERNELS = ("head", "classifier")
FIELDS = ("window", "width", "operation", "rate", "bits")


@dataclasses.dataclass(frozen=True, eq=False)
class Genes:
  """Base of dataclasses of arrays of integers, compared and kept by their numbers."""

  @functools.cached_property
  def key(self) -> tuple[tuple[int, ...], ...]:
    """All numbers, field by field: equal for equal choices."""
    return tuple(tuple(np.ravel(value).tolist()) for value in self._fields.values())

  @property
  def _fields(self) -> dict[str, Any]:
    return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

  def __eq__(self, other: object) -> bool:
    """Whether all choices are the same."""
    return type(other) is type(self) and self.key == other.key

  def __hash__(self) -> int:
    """Of all choices; arrays must be known."""
    return hash(self.key)

  def to_json(self) -> dict[str, Any]:
    """Lists of numbers by field."""
    return {name: np.asarray(value).tolist() for name, value in self._fields.items()}


@functools.partial(
  jax.tree_util.register_dataclass, data_fields=list(FIELDS), meta_fields=[]
)
@dataclasses.dataclass(frozen=True, eq=False)
class Arch(Genes):
  """One choice of a space of chains.

  There is one for each example where arrays have a batch axis in front.

  Attributes:
    window: (L,) height and width of the depthwise kernels.
    width: (L,) hidden channels; 0 leaves the block out.
    operation: (L,) index into `chain.OPERATIONS`.
    rate: (L + 1, 2) channels that share one of the epitome, of `KERNELS`, and of
      `LAST_KERNELS`.
    bits: (L + 1, 2) of a stored number of these kernels; 32 is float32.
  """

  window: Any
  width: Any
  operation: Any
  rate: Any
  bits: Any
