"""What every planner's configuration can do."""

import abc
from typing import ClassVar

from neural_epitome import codec
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome.plan import Plan


class Planner(codec.Variant, abc.ABC):
  """A way to make a plan; each arm is a frozen dataclass in a file of its own."""

  plugin_group: ClassVar[str] = "planners"

  @abc.abstractmethod
  def plan(self, inventory: Inventory) -> Plan:
    """The plan for every kernel of the architecture.

    Raises:
      UserError: if the planner's options cannot be met; it names what can.
    """
