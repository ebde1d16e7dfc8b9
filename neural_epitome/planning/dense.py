"""The plan that compresses nothing: the network everything is compared with."""

import dataclasses
from typing import ClassVar

from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome import plan as plans
from neural_epitome.planning.base import Planner


@dataclasses.dataclass(frozen=True)
class DensePlanner(Planner):
  """Stores every kernel in full."""

  kind: ClassVar[str] = "dense"

  def plan(self, inventory: Inventory) -> plans.Plan:
    """A plan of dense kernels."""
    return plans.make(inventory.kernels, {})
