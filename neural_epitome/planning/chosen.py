"""The plan that somebody, or a search, has written down kernel by kernel."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import GeneratorSpec
from neural_epitome.planning.base import Planner


@dataclasses.dataclass(frozen=True)
class ChosenPlanner(Planner):
  """Names the weight generator of every kernel that is not stored in full.

  Attributes:
    generators: by the kernel's path.
  """

  kind: ClassVar[str] = "chosen"

  generators: Mapping[str, GeneratorSpec] = dataclasses.field(default_factory=dict)

  def plan(self, inventory: Inventory) -> plans.Plan:
    """See the class.

    Raises:
      UserError: if a path names no kernel, or a generator does not fit its kernel.
    """
    return plans.make(inventory.kernels, self.generators)
