"""A space of networks of several branches a cell: every operation is a gate.

NSE's (Ci et al., arXiv 2011.10904), on any frame of `models.multi_branch`. A cell that
keeps width and size may have no operation; any other one needs one at least.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np

from neural_epitome.domains import Domain, Whole
from neural_epitome.errors import UserError
from neural_epitome.models.multi_branch import MultiBranchConfig, Place
from neural_epitome.models.operation_pools import POOLS
from neural_epitome.spaces import multi_branch_costs
from neural_epitome.spaces.branches import Branches, Slots


@dataclasses.dataclass(frozen=True)
class MultiBranchSpace:
  """What operations every cell may have.

  Attributes:
    frame: a network whose cells are chosen here: pool, widths and strides are its own.
    image_size: height and width of the images.
    only: of each cell the operations that it may have; () are all of the pool. Those
      whose groups do not divide a cell's channels are left out in any case.
  """

  frame: MultiBranchConfig = MultiBranchConfig()
  image_size: Annotated[int, Domain(least=1, most=65535)] = 224
  only: tuple[tuple[Whole, ...], ...] = ()

  @functools.cached_property
  def cells(self) -> tuple[Place, ...]:
    """Width and stride of every cell."""
    return tuple(self.frame.places())

  @property
  def places(self) -> int:
    """Number of cells."""
    return len(self.cells)

  @functools.cached_property
  def usable(self) -> np.ndarray:
    """Which operations each cell may have: bool (cells, operations)."""
    pool = POOLS[self.frame.pool]
    only = self.only or (range(len(pool)),) * self.places
    return np.array(
      [
        [
          number in own and operation.fits(cell.inputs, cell.features)
          for number, operation in enumerate(pool)
        ]
        for cell, own in zip(self.cells, only, strict=True)
      ]
    )

  @functools.cached_property
  def may_be_empty(self) -> np.ndarray:
    """Which cells need no operation: bool (cells,)."""
    return np.array([cell.is_residual for cell in self.cells])

  @functools.cached_property
  def slots(self) -> Slots:
    """The operations that each cell may have, side by side."""
    return Slots(self.usable)

  @property
  def size(self) -> int:
    """How many choices there are."""
    counts = [2 ** int(own.sum()) for own in self.usable]
    return math.prod(
      count - (not empty)
      for count, empty in zip(counts, self.may_be_empty, strict=True)
    )

  @property
  def pools(self) -> list[list[int]]:
    """The operations of every cell; see `space.Divisible`."""
    return [np.flatnonzero(own).tolist() for own in self.usable]

  @property
  def needed(self) -> list[list[int]]:
    """None: any operation will do for a cell that needs one."""
    return [[] for _ in self.cells]

  def used(self, arch: Branches) -> list[list[int]]:
    """The operations that are on; see `space.Divisible`."""
    return [np.flatnonzero(own).tolist() for own in np.asarray(arch.gates)]

  def restricted(self, pools: Sequence[Sequence[int]]) -> "MultiBranchSpace":
    """The same space with these operations; see `space.Divisible`."""
    only = tuple(tuple(sorted(map(int, own))) for own in pools)
    return dataclasses.replace(self, only=only)

  @property
  def choices(self) -> dict[str, list[list[int]]]:
    """Of every operation of every cell, whether it may be off and on."""
    return {"gates": [[0, 1] if usable else [0] for usable in self.usable.ravel()]}

  def part(self, choices: Mapping[str, Sequence[Sequence[int]]]) -> "MultiBranchSpace":
    """The same space with the gates that may be on; see `space.Divisible`."""
    on = np.array([1 in gene for gene in choices["gates"]]).reshape(self.usable.shape)
    only = tuple(tuple(np.flatnonzero(own).tolist()) for own in on & self.usable)
    return dataclasses.replace(self, only=only)

  def check(self) -> None:
    """Raises UserError if `only` is not of these cells and this pool.

    Likewise if a cell that needs an operation has none.
    """
    if self.only and len(self.only) != self.places:
      raise UserError(
        f"model.space.only has {len(self.only)} cells, and the frame has "
        f"{self.places}; give each its operations, or leave it empty for all of them."
      )
    count = len(POOLS[self.frame.pool])
    for index, own in enumerate(self.only):
      if not all(0 <= number < count for number in own):
        raise UserError(
          f"model.space.only[{index}]={list(own)} must be numbers from 0 to "
          f"{count - 1}, of the pool {self.frame.pool}."
        )
    for index in np.flatnonzero(~self.may_be_empty & ~self.usable.any(axis=1)):
      raise UserError(
        f"Cell {index} changes width or size, and no operation of the "
        f"pool {self.frame.pool} is left for it."
      )

  def _branches(self, gates: np.ndarray) -> Branches:
    return Branches(gates.astype(np.int32))

  @functools.cached_property
  def largest(self) -> Branches:
    """Every cell with all its operations."""
    return self._branches(self.usable)

  @functools.cached_property
  def smallest(self) -> Branches:
    """Every cell without one where it may be, and with its cheapest where not."""
    return self.canonical(self._branches(np.zeros(self.usable.shape)))

  @functools.cached_property
  def _cheapest(self) -> np.ndarray:
    """By cell, the operation of fewest multiply-adds, (cells,)."""
    madds, _ = self.branch_costs
    return np.argmin(np.where(self.usable, madds, np.inf), axis=1)

  def smaller(self, arch: Branches, block: int) -> list[Branches]:
    """The choices with one operation of a cell less, or a cheaper only one."""
    gates, (madds, _) = np.asarray(arch.gates), self.branch_costs
    own = np.flatnonzero(gates[block])
    rows = []
    if len(own) > 1 or self.may_be_empty[block]:
      rows = [np.where(np.arange(gates.shape[1]) == k, 0, gates[block]) for k in own]
    elif len(own):
      cheaper = self.usable[block] & (madds[block] < madds[block, own[0]])
      rows = [np.arange(gates.shape[1]) == k for k in np.flatnonzero(cheaper)]
    smaller_archs = []
    for row in rows:
      changed = gates.copy()
      changed[block] = row
      smaller_archs.append(self._branches(changed))
    return smaller_archs

  def sample(self, seed: int, *stream: int, count: int) -> list[Branches]:
    """Choices with each operation on or off alike, of those that are allowed."""
    return self.drawn(np.full(self.usable.shape, 0.5), seed, *stream, count=count)

  def drawn(
    self, probability: np.ndarray, seed: int, *stream: int, count: int
  ) -> list[Branches]:
    """Choices with each operation on as often as a policy says.

    Args:
      probability: float (cells, operations); 0 for those that it has dropped. Of a cell
        that needs an operation, one at least must be above 0.
      seed: of the draws.
      *stream: likewise.
      count: of them.
    """
    random = np.random.default_rng((seed, *stream))
    drawn = []
    for _ in range(count):
      gates = self.usable & (random.random(self.usable.shape) < probability)
      while np.any(empty := ~self.may_be_empty & ~gates.any(axis=1)):
        again = self.usable & (random.random(self.usable.shape) < probability)
        gates = np.where(empty[:, None], again, gates)
      drawn.append(self._branches(gates))
    return drawn

  def canonical(self, arch: Branches) -> Branches:
    """The choice itself, with the cheapest operation where one is lacking."""
    gates = np.asarray(arch.gates).astype(bool) & self.usable
    lacking = np.flatnonzero(~self.may_be_empty & ~gates.any(axis=1))
    gates[lacking, self._cheapest[lacking]] = True
    return self._branches(gates)

  def from_json(self, data: Any, where: str = "architecture") -> Branches:
    """Reads what `ArchEncoding.to_json` wrote; raises UserError if it is no choice."""
    gates = data.get("gates") if isinstance(data, Mapping) else None
    value = np.array(gates if isinstance(gates, list) else [], dtype=object)
    if value.shape != self.usable.shape or not all(g in (0, 1) for g in value.flat):
      raise UserError(
        f"{where}.gates must be {self.places} rows of {self.usable.shape[1]} numbers 0 "
        "or 1."
      )
    arch = self._branches(value.astype(bool))
    if self.canonical(arch) != arch:
      raise UserError(f"{where} has operations that a cell may not have, or lacks one.")
    return arch

  def network(self, arch: Branches) -> MultiBranchConfig:
    """The plain network that a choice stands for."""
    cells = tuple(tuple(np.flatnonzero(row).tolist()) for row in np.asarray(arch.gates))
    return dataclasses.replace(self.frame, cells=cells)

  def arch(self, network: MultiBranchConfig) -> Branches:
    """The choice that a network of this frame is."""
    gates = np.zeros(self.usable.shape, bool)
    for index, own in enumerate(network.cells):
      gates[index, list(own)] = True
    return self._branches(gates)

  @functools.cached_property
  def branch_costs(self) -> tuple[np.ndarray, np.ndarray]:
    """Multiply-adds and parameters of every branch: float64 (cells, operations) each.

    What a choice costs is the sum over its gates, and `multi_branch_costs.of_ends`.
    """
    return multi_branch_costs.of_branches(self.frame, self.image_size, self.usable)

  def price(self, arch: Branches, channels: int, classes: int) -> dict[str, float]:
    """`madds` and `parameters` of a choice's network."""
    ends = multi_branch_costs.of_ends(self.frame, self.image_size, channels, classes)
    sums = [float(np.sum(arch.gates * costs)) for costs in self.branch_costs]
    names = ("madds", "parameters")
    return {name: own + end for name, own, end in zip(names, sums, ends, strict=True)}
