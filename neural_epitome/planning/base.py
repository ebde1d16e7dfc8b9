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
      UserError: if what is asked cannot be met, naming what can.
    """
