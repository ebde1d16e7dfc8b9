"""The configuration of a supernet of gates, and what a search asks of it.

Its network is `multi_branch_module`'s.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from neural_epitome.cost.inventory import Inventory
from neural_epitome.domains import Whole
from neural_epitome.errors import UserError
from neural_epitome.models.base import Layers
from neural_epitome.models.multi_branch import MultiBranchConfig
from neural_epitome.models.operation_pools import POOLS
from neural_epitome.planning import DensePlanner
from neural_epitome.spaces import (
  multi_branch_costs,
  multi_branch_description,
  multi_branch_latency,
)
from neural_epitome.spaces.branches import Branches
from neural_epitome.spaces.description import Description
from neural_epitome.spaces.gate_options import GateOptions
from neural_epitome.spaces.multi_branch_latency import BranchTimes
from neural_epitome.spaces.multi_branch_module import MultiBranchSupernet
from neural_epitome.spaces.multi_branch_prices import BranchPrices
from neural_epitome.spaces.multi_branch_space import MultiBranchSpace
from neural_epitome.spaces.searchable import Searchable


@dataclasses.dataclass(frozen=True)
class MultiBranchSupernetConfig(Searchable):
  """A supernet of gates.

  Attributes:
    space: the choices.
    gates: how gates learn beside the weights, on images of config.data.evaluation_split
      in the form of training ones; None trains none.
    kept: of every cell, operations that are not dropped in training: those of
      architectures that earlier rounds have found. () is none.
  """

  kind: ClassVar[str] = "multi_branch_supernet"

  space: MultiBranchSpace = MultiBranchSpace()
  gates: GateOptions | None = None
  kept: tuple[tuple[Whole, ...], ...] = ()

  def build(self, classes: int, layers: Layers) -> nn.Module:
    """The Linen module; see `ModelConfig.build`."""
    self.space.check()
    if self.kept and len(self.kept) != self.space.places:
      raise UserError(
        f"model.kept has {len(self.kept)} cells, and the space has "
        f"{self.space.places}; give each its operations, or leave it empty."
      )
    return MultiBranchSupernet(self.space, classes, layers)

  def inventory(self, classes: int, input_shape: Sequence[int]) -> Inventory:
    """All branches, of which there may be hundreds; see `ModelConfig.inventory`."""
    space, (size, *_, channels) = self.space, input_shape
    return multi_branch_costs.inventory(
      space.frame, size, space.usable, channels, classes
    )

  def prices(self, classes: int, channels: int, table: Any = None) -> BranchPrices:
    """See `Searchable.prices`."""
    return BranchPrices(self.space, classes, channels, table)

  def latency_table(self, path: str, *, anywhere: bool) -> BranchTimes:
    """See `Searchable.latency_table`."""
    return multi_branch_latency.load(path, self.space, anywhere=anywhere)

  def with_choice(self, variables: Mapping[str, Any], arch: Branches) -> dict[str, Any]:
    """See `Searchable.with_choice`; what a policy has of the gates is left out."""
    own = {name: tree for name, tree in variables.items() if name != "policy"}
    return own | {"arch": {"arch": Branches(jnp.asarray(arch.gates, jnp.int32))}}

  def sliced(self, variables: Mapping[str, Any], arch: Branches) -> dict[str, Any]:
    """The modules of branches that are on, and those that stand in no cell."""
    cells = enumerate(self.space.network(arch).cells)
    names = {f"cell_{index}_branch_{number}" for index, own in cells for number in own}
    return {
      kind: {
        name: jax.tree.map(np.asarray, tree)
        for name, tree in variables[kind].items()
        if name in names or not name.startswith("cell_")
      }
      for kind in ("params", "batch_stats")
    }

  def final(
    self, arch: Branches, classes: int
  ) -> tuple[MultiBranchConfig, DensePlanner]:
    """The network of the branches that are on, stored in full."""
    del classes
    return self.space.network(arch), DensePlanner()

  def describe(self, arch: Branches) -> Description:
    """See `multi_branch_description`."""
    return multi_branch_description.describe(self.space, arch)

  def warnings(self, metric: str) -> list[str]:
    """On latencies of operations in groups."""
    groups = (
      max(POOLS[self.space.frame.pool][number].branch.feature_group_counts)
      for pool in self.space.pools
      for number in pool
    )
    if metric != "latency" or max(groups, default=1) == 1:
      return []
    return [
      "Operations of this space have convolutions in groups. Their latency is measured "
      "as they run, often no lower than with one group; the published tables of NSE "
      "took that of one group."
    ]

  def in_round(
    self,
    space: MultiBranchSpace,
    kept: Sequence[Sequence[int]],
    gates: GateOptions | None,
  ) -> Self:
    """See `Searchable.in_round`."""
    own = tuple(tuple(sorted(map(int, row))) for row in kept)
    return dataclasses.replace(self, space=space, gates=gates, kept=own)
