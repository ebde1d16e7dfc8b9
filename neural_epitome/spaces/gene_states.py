"""A space's choices of genes as states that a policy reads, and its answers as choices.

The rule of two levels on a chain of blocks: a window becomes no larger, a width no
wider, and so on, gene by gene; a block may be left out where the space allows it. As
every gene only ever comes down, so do parameters and multiply-adds. Measured times need
not, and genes of a table have no order: a change that is dearer is none, the choice
stays as it was given.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from neural_epitome.spaces.genes import Genes
from neural_epitome.spaces.graph_state import GraphState
from neural_epitome.spaces.space import Space

# Of these a larger value is a smaller network.
_DESCENDING = ("rate", "member")
# Of a table: indices, which have no order.
_UNORDERED = ("options",)


@dataclasses.dataclass(frozen=True, eq=False)
class GeneStates:
  """States of a space's choices, and choices of options.

  A node is a place of the space, a slot one of its genes; a token names a field and
  which option of the gene it is.

  Attributes:
    space: the choices.
    price: what no change may raise.
  """

  space: Space
  price: Callable[[Any], float]

  @functools.cached_property
  def _genes(self) -> Genes:
    return Genes(self.space)

  @functools.cached_property
  def _layout(self) -> list[tuple[str, int, int, list[int]]]:
    """Of every gene its field, node, slot and values, in the order of `Genes`.

    Genes of a field belong to places in order, equally many each.
    """
    largest, layout, used = self.space.largest, [], {}
    for field, genes in self.space.choices.items():
      rows = np.shape(getattr(largest, field))[0]
      for number, values in enumerate(genes):
        node = number * rows // len(genes)
        slot = used.get(node, 0)
        used[node] = slot + 1
        layout.append((field, node, slot, values))
    return layout

  @property
  def slots(self) -> int:
    """Slots of a node."""
    return 1 + max(slot for _, _, slot, _ in self._layout)

  @property
  def _nodes(self) -> int:
    return 1 + max(node for _, node, _, _ in self._layout)

  @property
  def _most(self) -> int:
    return max(self._genes.counts)

  @functools.cached_property
  def _fields(self) -> list[str]:
    return list(self.space.choices)

  @property
  def outputs(self) -> int:
    """An option of a field is one output."""
    return len(self._fields) * self._most

  @property
  def tokens(self) -> int:
    """As many as outputs, and one for a slot that a place lacks."""
    return self.outputs + 1

  def draw(self, random: np.random.Generator) -> Any:
    """A choice, drawn evenly."""
    return self.space.sample(int(random.integers(2**31)), count=1)[0]

  @functools.cached_property
  def _adjacency(self) -> np.ndarray:
    """Each place reads the one before, and what a residual block before adds to."""
    adjacency = np.eye(self._nodes, k=-1, dtype=np.float32)
    positions = getattr(self.space, "positions", ())
    for index, position in enumerate(positions):
      if position.is_residual and 0 < index < self._nodes - 1:
        adjacency[index + 1, index - 1] = 1
    return adjacency

  def state(self, given: Any) -> GraphState:
    """A batch of one: the whole choice."""
    count, most = self._nodes * self.slots, self._most
    tokens = np.full(count, self.tokens - 1, np.int32)
    heads = np.zeros((count, most), np.int32)
    allowed = np.zeros((count, most), bool)
    allowed[:, 0] = True
    own = self._genes.options(given)
    for option, (field, node, slot, values) in zip(own, self._layout, strict=True):
      number, first = node * self.slots + slot, self._fields.index(field) * most
      tokens[number] = first + option
      heads[number] = first + np.arange(most)
      allowed[number] = False
      for other, value in enumerate(values):
        allowed[number, other] = _may_become(field, values[option], value)
    state = GraphState(
      self._adjacency,
      tokens.reshape(self._nodes, self.slots),
      heads,
      allowed,
      np.zeros((count, most, 0), np.int32),
      np.arange(count, dtype=np.int32),
    )
    fields = dataclasses.fields(state)
    return GraphState(*(getattr(state, field.name)[None] for field in fields))

  def changed(self, given: Any, options: np.ndarray) -> Any:
    """The choice of these options, or `given` where that would be dearer."""
    slots = [node * self.slots + slot for _, node, slot, _ in self._layout]
    change = self._genes.arch(np.asarray(options)[0][slots])
    return given if self.price(change) > self.price(given) else change


def _may_become(field: str, old: int, new: int) -> bool:
  if field in _UNORDERED:
    return True
  return new >= old if field in _DESCENDING else new <= old
