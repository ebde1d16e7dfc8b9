"""Cells: small graphs whose edges compute, and networks of two of them.

Nodes 0 and 1 are the outputs of the two cells before. Every later node is the sum of
its edges, each an operation on an earlier node; the cell's output are the output nodes,
side by side. A network stacks normal cells and, where its size is halved, reduction
cells (Zoph et al., arXiv 1707.07012; Liu et al., DARTS, arXiv 1806.09055).

Wiring and output nodes are what a cell is given with; only operations are exchanged. So
the width of the output stays, also where a node no longer computes anything.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from neural_epitome import codec
from neural_epitome.errors import UserError
from neural_epitome.models.cell_operations import NAMES, NULL

INPUTS = 2
# Longer cells than any that was published; nodes are numbered in a byte.
_MOST_NODES = 64


class Edge(NamedTuple):
  """An operation from one node to a later one; edges are ordered by these numbers.

  Attributes:
    target: where it ends; not an input.
    source: where it begins.
    operation: index in `cell_operations.OPERATIONS`.
  """

  target: int
  source: int
  operation: int


@dataclasses.dataclass(frozen=True)
class Cell:
  """A graph; several edges may join the same two nodes.

  Attributes:
    edges: all of them, null ones too: a null edge is where a skip may come to stand.
    outputs: the nodes of which the output is made, in this order.
  """

  edges: tuple[Edge, ...]
  outputs: tuple[int, ...]

  @property
  def nodes(self) -> int:
    """Number of nodes, the two inputs among them."""
    return 1 + max(*self.outputs, *(edge.target for edge in self.edges), INPUTS - 1)

  @functools.cached_property
  def live(self) -> tuple[Edge, ...]:
    """The edges that the output depends on, in order.

    Two cells with equal outputs and equal live edges are the same network. A node
    without a live edge into it is zero, as is anything that is computed from it.
    """
    computes = [edge for edge in sorted(self.edges) if edge.operation != NULL]
    filled = set(range(INPUTS))
    for edge in computes:  # by target, so sources come before
      if edge.source in filled:
        filled.add(edge.target)
    read = set(self.outputs)
    for edge in reversed(computes):
      if edge.target in read:
        read.add(edge.source)
    return tuple(e for e in computes if e.source in filled and e.target in read)

  def canonical(self) -> "Cell":
    """The same network: edges in order, null where nothing depends on them."""
    live, edges = list(self.live), []
    for edge in sorted(self.edges):
      is_live = edge in live
      if is_live:
        live.remove(edge)
      edges.append(edge if is_live else edge._replace(operation=NULL))
    return Cell(tuple(sorted(edges)), self.outputs)

  def with_operations(self, operations: Sequence[int]) -> "Cell":
    """The same wiring with other operations, one an edge, in the order of the edges."""
    changed = [
      edge._replace(operation=int(operation))
      for edge, operation in zip(self.edges, operations, strict=True)
    ]
    return Cell(tuple(changed), self.outputs)

  def to_json(self) -> dict[str, Any]:
    """What `from_json` reads."""
    edges = [[edge.source, edge.target, NAMES[edge.operation]] for edge in self.edges]
    return {"edges": edges, "outputs": list(self.outputs)}


@dataclasses.dataclass(frozen=True)
class Cells:
  """The two cells that a network is stacked from.

  Attributes:
    normal: keeps the size.
    reduction: halves it: its edges from the inputs have stride 2.
  """

  normal: Cell
  reduction: Cell

  @property
  def both(self) -> tuple[Cell, Cell]:
    """Normal, then reduction."""
    return self.normal, self.reduction

  def canonical(self) -> "Cells":
    """The same network; see `Cell.canonical`."""
    return Cells(self.normal.canonical(), self.reduction.canonical())

  @property
  def live(self) -> tuple[Any, ...]:
    """What is the same for two encodings of one network, and hashable."""
    return tuple((cell.outputs, cell.live) for cell in self.both)

  def to_json(self) -> dict[str, Any]:
    """What `cell_files.read` reads."""
    return {"normal": self.normal.to_json(), "reduction": self.reduction.to_json()}


def _is_node(value: Any) -> bool:
  return type(value) is int and 0 <= value < _MOST_NODES


def cell_from_json(data: Any, where: str) -> Cell:
  """Reads {"edges": [[from, to, operation], ...], "outputs": [node, ...]}.

  Raises:
    UserError: in one line, if there is no such cell.
  """
  if not isinstance(data, dict) or set(data) != {"edges", "outputs"}:
    raise UserError(f"{where} must have the two fields edges and outputs.")
  if not isinstance(data["edges"], list) or not data["edges"]:
    raise UserError(f"{where}.edges must be a list of [from, to, operation].")
  edges = []
  for number, row in enumerate(data["edges"]):
    name = f"{where}.edges[{number}]={row!r}"
    if not isinstance(row, list) or len(row) != 3:
      raise UserError(f"{name} must be [from, to, operation].")
    source, target, operation = row
    if operation not in NAMES:
      hint = codec.nearest(str(operation), NAMES)
      raise UserError(f"{name}: there is no operation {operation!r}.{hint}")
    if not _is_node(source) or not _is_node(target):
      raise UserError(f"{name}: nodes are whole numbers from 0 to {_MOST_NODES - 1}.")
    if target < INPUTS or source >= target:
      raise UserError(
        f"{name} must end at a later node than it begins, and not at an input, 0 or 1."
      )
    edges.append(Edge(target, source, NAMES.index(operation)))
  nodes, outputs = 1 + max(edge.target for edge in edges), data["outputs"]
  if (
    not isinstance(outputs, list)
    or not outputs
    or len({*map(str, outputs)}) < len(outputs)
  ):
    raise UserError(
      f"{where}.outputs={outputs!r} must be one or more nodes, each once."
    )
  for node in outputs:
    if not _is_node(node) or not INPUTS <= node < nodes:
      raise UserError(
        f"{where}.outputs={outputs!r} must be nodes from {INPUTS} to {nodes - 1}."
      )
  reached = {edge.target for edge in edges}
  for node in range(INPUTS, nodes):
    if node not in reached:
      raise UserError(
        f"{where}: no edge ends at node {node}; number the nodes densely."
      )
  return Cell(tuple(sorted(edges)), tuple(outputs))
