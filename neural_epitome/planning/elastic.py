"""Kernels that train to be read at several rates, before one is chosen for each."""

import dataclasses
from typing import ClassVar

from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import Elastic, GeneratorSpec, SharingRule
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError
from neural_epitome.planning.base import Planner
from neural_epitome.planning.uniform import UniformPlanner

RATES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


@dataclasses.dataclass(frozen=True)
class ElasticPlanner(Planner):
  """Stores every kernel in full; the compressed ones are read at any of the rates.

  Attributes:
    rules: which kernels are compressed, and how; its rate and shares are ignored.
    rates: of each kernel, ascending; those that its rule cannot reach are left out.
  """

  kind: ClassVar[str] = "elastic"

  rules: UniformPlanner = UniformPlanner()
  rates: tuple[float, ...] = RATES

  def plan(self, inventory: Inventory) -> plans.Plan:
    """See the class.

    Raises:
      UserError: if the rates are not ascending from 1, or the rule is none of which
        kernels have sizes of their own.
    """
    found = self.members(inventory)
    return plans.make(inventory.kernels, {p: Elastic(m) for p, m in found.items()})

  def members(self, inventory: Inventory) -> dict[str, tuple[GeneratorSpec, ...]]:
    """The generators that each compressed kernel may have, by path, largest first."""
    if not self.rates or list(self.rates) != sorted(set(self.rates) | {1.0}):
      raise UserError(f"rates={list(self.rates)} must ascend from 1.")
    rule = self.rules.rule
    if isinstance(rule, SharingRule) or rule.is_fixed:
      raise UserError(
        f"planner.rule={rule.kind} gives no kernel a size of its own to choose; "
        "allocation needs another rule, as epitome."
      )
    uses = self.rules.compressible(inventory)
    return {use.path: self._of(use) for use in uses}

  def _of(self, use: KernelUse) -> tuple[GeneratorSpec, ...]:
    smallest = self.rules.rule.smallest(use)
    sizes = (round(use.size / rate) for rate in self.rates)
    found = [self.rules.rule.at(use, n, 0.05) for n in sizes if n >= smallest]
    # Where whole channels are few, two rates may come to the same.
    return tuple(dict.fromkeys(found))
