"""Cells as states that a policy reads, and its answers as cells; random cells."""

import dataclasses
import functools
from collections import Counter
from typing import Literal

import numpy as np

from neural_epitome.domains import Count, Share
from neural_epitome.errors import UserError
from neural_epitome.models.cell_operations import (
  NAMES,
  NULL,
  OPERATIONS,
  SKIP,
  Rule,
  transitions,
)
from neural_epitome.models.cells import INPUTS, Cell, Cells, Edge
from neural_epitome.spaces.cell_prices import CellFrame, CellPrices
from neural_epitome.spaces.graph_state import GraphState, stack


@dataclasses.dataclass(frozen=True)
class CellSpace:
  """Which cells there are.

  Attributes:
    nodes: after the inputs, at most.
    edges: that end at a node, at most; as many in random cells.
    outputs: of random cells: `all` nodes after the inputs, or the `loose` ones, that no
      other reads.
    null: probability of a null edge in random cells. Hand-made cells have them, and a
      policy that never saw one would not know what to do with it.
    frame: the network that cells are stacked to.
  """

  nodes: Count = 4
  edges: Count = 2
  outputs: Literal["all", "loose"] = "all"
  null: Share = 0.1
  frame: CellFrame = CellFrame()

  @classmethod
  def that_holds(cls, cells: Cells, frame: CellFrame) -> "CellSpace":
    """The smallest space with these cells."""
    both = cells.both
    degrees = [
      sum(edge.target == node for edge in cell.edges)
      for cell in both
      for node in range(cell.nodes)
    ]
    nodes = max(cell.nodes for cell in both) - INPUTS
    is_all = all(len(cell.outputs) == cell.nodes - INPUTS for cell in both)
    outputs = "all" if is_all else "loose"
    return cls(nodes, max(degrees), outputs, frame=frame)

  def check(self, cells: Cells, where: str) -> None:
    """Raises UserError if the cells are too large for the space."""
    for cell in cells.both:
      if cell.nodes > self.nodes + INPUTS:
        raise UserError(
          f"{where} has {cell.nodes - INPUTS} nodes after the inputs, and the space "
          f"has nodes={self.nodes}."
        )
      for node in range(cell.nodes):
        count = sum(edge.target == node for edge in cell.edges)
        if count > self.edges:
          raise UserError(
            f"{where} has {count} edges into node {node}, and the space has "
            f"edges={self.edges}."
          )

  def draw(self, random: np.random.Generator) -> Cells:
    """Two random cells: parents and operations are drawn evenly, null by its share."""
    return Cells(self._draw_cell(random), self._draw_cell(random))

  def _draw_cell(self, random: np.random.Generator) -> Cell:
    edges = []
    others = [number for number in range(len(OPERATIONS)) if number != NULL]
    for target in range(INPUTS, INPUTS + self.nodes):
      for _ in range(self.edges):
        is_null = random.random() < self.null
        operation = NULL if is_null else others[int(random.integers(len(others)))]
        edges.append(Edge(target, int(random.integers(target)), operation))
    nodes = range(INPUTS, INPUTS + self.nodes)
    read = {edge.source for edge in edges}
    loose = tuple(node for node in nodes if node not in read)
    return Cell(
      tuple(sorted(edges)), tuple(nodes) if self.outputs == "all" else loose
    ).canonical()


@dataclasses.dataclass(frozen=True, eq=False)
class CellStates:
  """States of cells, and cells of options.

  A cell's state is of its canonical form, so that no dead edge counts as a saving. Its
  tokens are the operations, and one for each slot of an input and of nothing. Those of
  a reduction cell are others than those of a normal one: in the paper the policy cannot
  tell them apart, and an operation that is good in one need not be in the other.

  Attributes:
    space: the cells.
    prices: none of which a change may raise.
    rule: what operations may become.
  """

  space: CellSpace
  prices: CellPrices
  rule: Rule

  @property
  def slots(self) -> int:
    """Slots of a node."""
    return self.space.edges

  @property
  def tokens(self) -> int:
    """Number of tokens: those of normal cells, and those of reduction cells."""
    return 2 * self._of_kind

  @property
  def _of_kind(self) -> int:
    return len(OPERATIONS) + INPUTS * self.space.edges + 1

  @property
  def outputs(self) -> int:
    """Number of a policy's outputs for a slot."""
    return 3 if self.rule == "same_skip_null" else len(OPERATIONS)

  @functools.cached_property
  def _may(self) -> np.ndarray:
    return transitions(self.rule)

  @functools.cached_property
  def _heads(self) -> np.ndarray:
    """(old, new): the output of each option."""
    count = len(OPERATIONS)
    if self.rule == "two_levels":
      return np.tile(np.arange(count, dtype=np.int32), (count, 1))
    heads = np.zeros((count, count), np.int32)
    heads[:, SKIP], heads[:, NULL] = 1, 2
    np.fill_diagonal(heads, 0)
    return heads

  def _slots(self, cell: Cell) -> list[int]:
    """Of every edge of a canonical cell its slot, in the order of the edges."""
    used = [0] * (self.space.nodes + INPUTS)
    slots = []
    for edge in cell.edges:
      slots.append(edge.target * self.space.edges + used[edge.target])
      used[edge.target] += 1
    return slots

  def state(self, given: Cells) -> GraphState:
    """Both cells, a batch of two, of their canonical form.

    Raises:
      UserError: if they are too large for the space.
    """
    self.space.check(given, "A cell")
    pair = enumerate(given.canonical().both)
    return stack([self._state(cell, kind) for kind, cell in pair])

  def _state(self, cell: Cell, kind: int) -> GraphState:
    nodes, edges = self.space.nodes + INPUTS, self.space.edges
    adjacency = np.zeros((nodes, nodes), np.float32)
    tokens = np.full(nodes * edges, self._of_kind - 1, np.int32)
    tokens[: INPUTS * edges] = len(OPERATIONS) + np.arange(INPUTS * edges)
    allowed = np.zeros((nodes * edges, len(OPERATIONS)), bool)
    allowed[:, NULL] = True
    heads = np.tile(self._heads[NULL], (nodes * edges, 1))
    metrics = len(self.prices.metrics)
    increments = np.zeros((nodes * edges, len(OPERATIONS), metrics), np.int32)
    price = np.zeros(nodes * edges)
    for slot, edge in zip(self._slots(cell), cell.edges, strict=True):
      from_input = int(edge.source < INPUTS)
      adjacency[edge.target, edge.source] += 1
      tokens[slot] = edge.operation
      allowed[slot] = self._may[edge.operation]
      heads[slot] = self._heads[edge.operation]
      increments[slot] = self.prices.increments[kind, from_input, edge.operation]
      price[slot] = self.prices.table[kind, from_input, edge.operation, 1]
    order = np.argsort(-price, kind="stable").astype(np.int32)
    return GraphState(
      adjacency,
      kind * self._of_kind + tokens.reshape(nodes, edges),
      heads,
      allowed,
      increments,
      order,
    )

  def draw(self, random: np.random.Generator) -> Cells:
    """Two random cells; see `CellSpace.draw`."""
    return self.space.draw(random)

  def changed(self, given: Cells, options: np.ndarray) -> Cells:
    """What options make of cells, in canonical form.

    Args:
      given: whose state was read.
      options: int (2, S), of the two cells' slots.
    """
    changed = [
      cell.with_operations(own[self._slots(cell)]).canonical()
      for cell, own in zip(given.canonical().both, np.asarray(options), strict=True)
    ]
    return Cells(*changed)


def described(before: Cells, after: Cells) -> list[str]:
  """The changes between two networks of one wiring, a line each.

  Returns:
    Such as 'normal 0->3: sep_conv_3x3 => skip'; edges that became dead are null.
  """
  lines = []
  pairs = zip(before.canonical().both, after.canonical().both, strict=True)
  for name, (old, new) in zip(("normal", "reduction"), pairs, strict=True):
    gone = sorted((Counter(old.edges) - Counter(new.edges)).elements())
    come = sorted((Counter(new.edges) - Counter(old.edges)).elements())
    lines += [
      f"{name} {one.source}->{one.target}: {NAMES[one.operation]} => "
      f"{NAMES[other.operation]}"
      for one, other in zip(gone, come, strict=True)
    ]
  return lines
