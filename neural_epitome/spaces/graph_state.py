"""An architecture that may be changed, as a policy reads it: a graph of tokens.

Cells are such graphs (`cell_states`), and so are chains of blocks
(`chain_states`). A policy answers with an option a slot.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Protocol

import jax
import numpy as np


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=["adjacency", "tokens", "heads", "allowed", "increments", "order"],
  meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class GraphState:
  """Of N nodes with K slots each, and up to n options a slot; S = N K slots in all.

  Batches have more axes in front.

  Attributes:
    adjacency: (N, N) float32, how many edges lead to a node (row) from another one.
    tokens: (N, K) int32, what stands in each slot.
    heads: (S, n) int32, which of a policy's outputs is the logit of an option. Options
      of one meaning share an output.
    allowed: (S, n) bool, what each slot may become. One option at least: in a slot that
      nothing can be chosen of, the only one.
    increments: (S, n, metrics) int32, by how much each option makes the architecture
      dearer. The sum over slots must not be above 0 for any metric.
    order: (S,) int32, in which order options are drawn: what saves most comes first, so
      that what costs something can be paid for.
  """

  adjacency: Any
  tokens: Any
  heads: Any
  allowed: Any
  increments: Any
  order: Any


def stack(states: Sequence[GraphState]) -> GraphState:
  """A batch of states of equal shapes."""
  return jax.tree.map(lambda *leaves: np.stack(leaves), *states)


class Editor(Protocol):
  """What may be changed of some family of architectures."""

  @property
  def slots(self) -> int:
    """Slots of a node."""
    ...

  @property
  def tokens(self) -> int:
    """Number of different tokens."""
    ...

  @property
  def outputs(self) -> int:
    """Number of different outputs that `GraphState.heads` names."""
    ...

  def draw(self, random: np.random.Generator) -> Any:
    """A random architecture."""
    ...

  def state(self, given: Any) -> GraphState:
    """Of an architecture: a batch of its parts, which are changed one by one.

    No part may become dearer. All architectures have states of the same shapes.
    """
    ...

  def changed(self, given: Any, options: np.ndarray) -> Any:
    """What options, int (parts, S), make of an architecture."""
    ...
