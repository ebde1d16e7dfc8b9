"""Choices of a multi-branch space: a gate for every operation of every cell."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.spaces.arch import ArchEncoding


@functools.partial(
  jax.tree_util.register_dataclass, data_fields=["gates"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True, eq=False)
class Branches(ArchEncoding):
  """One choice.

  Attributes:
    gates: (cells, operations) int32, 1 for the operations that a cell has.
  """

  gates: Any


class Slots:
  """The operations that each cell may have, K to a cell in the order of their numbers.

  Attributes:
    numbers: (cells, K) number of each one's operation; 0 where there is none.
    exists: bool (cells, K).
  """

  def __init__(self, usable: np.ndarray):
    """Of bool (cells, operations)."""
    own = [np.flatnonzero(row) for row in usable]
    self.exists = np.arange(max(map(len, own))) < np.array([[len(row)] for row in own])
    self.numbers = np.zeros(self.exists.shape, int)
    self.numbers[self.exists] = np.concatenate(own)
    self._shape = usable.shape

  def wide(self, values: jax.Array) -> jax.Array:
    """Of values (cells, K) those of all operations, int32 (cells, operations)."""
    own = values.astype(jnp.int32) * jnp.asarray(self.exists, jnp.int32)
    cells = np.arange(len(self.numbers))[:, None]
    return jnp.zeros(self._shape, jnp.int32).at[cells, self.numbers].add(own)

  def narrow(self, values: np.ndarray) -> np.ndarray:
    """Of values (cells, operations) those of the slots, (cells, K); 0 where is none."""
    return np.take_along_axis(values, self.numbers, axis=1) * self.exists
