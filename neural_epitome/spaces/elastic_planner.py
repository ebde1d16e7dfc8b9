"""Kernels that train to be read at several rates, before one is chosen for each."""

import dataclasses
from typing import ClassVar

from neural_epitome.cost.inventory import Inventory
from neural_epitome.domains import Rate
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import GeneratorSpec, SharingRule
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError
from neural_epitome.planning.base import Planner
from neural_epitome.planning.rate import RatePlanner
from neural_epitome.spaces.elastic_generator import Elastic

RATES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


@dataclasses.dataclass(frozen=True)
class ElasticPlanner(Planner):
  """Stores every kernel in full; those to be compressed are read at any of the rates.

  Attributes:
    rules: which kernels are to be compressed, and how; its rate and shares are ignored.
    rates: weights of a kernel over the numbers that it is read from, ascending from 1;
      those that its rule cannot reach are left out.
  """

  kind: ClassVar[str] = "elastic"

  rules: RatePlanner = RatePlanner()
  rates: tuple[Rate, ...] = RATES

  def plan(self, inventory: Inventory) -> plans.Plan:
    """The plan in which compressed kernels are `Elastic` in their `members`.

    Raises:
      UserError: if the rules leave nothing to choose; see `members`.
    """
    members = self.members(inventory)
    return plans.make(inventory.kernels, {p: Elastic(m) for p, m in members.items()})

  def members(self, inventory: Inventory) -> dict[str, tuple[GeneratorSpec, ...]]:
    """The generators that each compressed kernel may have, by path, largest first.

    Raises:
      UserError: if the rates do not ascend from 1, or the rule gives kernels no sizes
        of their own: it stores one tensor for all, or its size is fixed.
    """
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
    generators = [self.rules.rule.at(use, n, 0.05) for n in sizes if n >= smallest]
    # Where whole channels are few, two rates may come to the same.
    return tuple(dict.fromkeys(generators))
