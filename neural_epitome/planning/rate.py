"""One rule for every kernel that is compressed, at one rate over all of them."""

import dataclasses
import fnmatch
from collections.abc import Mapping
from typing import Annotated, ClassVar

from neural_epitome import codec
from neural_epitome.cost.inventory import Inventory
from neural_epitome.domains import Domain, Positive, Rate
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import (
  EpitomeRule,
  GeneratorSpec,
  Rule,
  SharingRule,
)
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError
from neural_epitome.planning import allocation
from neural_epitome.planning.base import Planner


@dataclasses.dataclass(frozen=True)
class RatePlanner(Planner):
  """Stores 1 / rate of the weights of the compressed kernels, all by one rule.

  What counts as stored is everything a kernel needs, offsets and scales included.
  The first layer and depthwise kernels stay dense: they are small, and a depthwise
  kernel has nothing to wrap.

  Attributes:
    rate: weights of the compressed kernels over the numbers stored for them, at
      least 1; met within 1%. A rule whose size is fixed takes no notice of it.
    rule: the weight generator, and what distinguishes it beside its size.
    allocation: a kernel of n weights gets a share in proportion to n**allocation.
      1.0 is an even rate; below it, small kernels are compressed less. No kernel
      stores more than its weights, nor less than its rule can. Neither this nor
      `weights` is for a rule whose kernels share one tensor.
    weights: factors of that share, by shell pattern of the kernel's path; those of
      all patterns that match are multiplied.
    only: shell patterns of the kernel paths that are compressed.
    keep: shell patterns of those that stay dense all the same.
    keep_first: whether the first kernel stays dense.
    keep_depthwise: whether depthwise kernels stay dense.
  """

  kind: ClassVar[str] = "uniform"

  rate: Rate = 2.0
  rule: Rule = EpitomeRule()
  allocation: Annotated[float, Domain(least=-10, most=10)] = 1.0
  weights: Mapping[str, Positive] = dataclasses.field(default_factory=dict)
  only: tuple[str, ...] = ("*",)
  keep: tuple[str, ...] = ()
  keep_first: bool = True
  keep_depthwise: bool = True

  def plan(self, inventory: Inventory) -> plans.Plan:
    """The plan that stores 1 / rate of the weights of the kernels to compress.

    Raises:
      UserError: if the rate is below 1, a pattern matches no kernel, a factor is
        not above 0, the rule cannot store so little, or its kernels share one tensor
        and `allocation` or `weights` would divide it.
    """
    if not self.rate >= 1:
      raise UserError(f"planner.rate={self.rate} must be at least 1 (1 is dense).")
    uses = self.compressible(inventory)
    budget = round(sum(use.size for use in uses) / self.rate)
    generators: Mapping[str, GeneratorSpec]
    shared: Mapping[str, Mapping[str, str]] = {}
    if isinstance(self.rule, SharingRule):
      self._check_no_shares()
      generators = self.rule.together(uses, budget)
      shared = dict.fromkeys(generators, self.rule.shared)
    elif self.rule.is_fixed:
      generators = {use.path: self.rule.at(use, use.size) for use in uses}
    else:
      generators = allocation.generators(self.rule, uses, budget, self.shares(uses))
    plan = plans.make(inventory.kernels, generators, shared)
    return plan.narrowed(dict.fromkeys(generators, self.rule.width))

  def shares(self, uses: tuple[KernelUse, ...]) -> list[float]:
    """A positive number for each kernel, to which its stored size is in proportion.

    Raises:
      UserError: if a pattern of `weights` matches none of them or its factor is not
        above 0.
    """
    _check_patterns(self.weights, [use.path for use in uses], "compressed kernel")
    for pattern, factor in self.weights.items():
      if not factor > 0:
        raise UserError(f"planner.weights.{pattern}={factor} must be above 0.")
    shares = []
    for use in uses:
      share = float(use.size) ** self.allocation
      for pattern, factor in self.weights.items():
        share *= factor if fnmatch.fnmatchcase(use.path, pattern) else 1.0
      shares.append(share)
    return shares

  def _check_no_shares(self) -> None:
    if self.allocation != 1.0 or self.weights:
      raise UserError(
        f"planner.rule={self.rule.kind} stores one tensor for all kernels: "
        "planner.allocation and planner.weights say how it would be shared out, so "
        "leave them out."
      )

  def highest_rate(self, inventory: Inventory) -> float:
    """The rate at which every compressed kernel is as small as its rule can make it.

    1.0 for a rule whose size is fixed, and where there is nothing to compress.
    """
    uses = self.compressible(inventory)
    if self.rule.is_fixed or not uses:
      return 1.0
    if isinstance(self.rule, SharingRule):
      smallest = self.rule.smallest_together(uses)
    else:
      smallest = sum(min(use.size, self.rule.smallest(use)) for use in uses)
    return max(1.0, sum(use.size for use in uses) / smallest)

  def compressible(self, inventory: Inventory) -> tuple[KernelUse, ...]:
    """The kernels that the attributes name.

    Raises:
      UserError: if a pattern of `only` or `keep` matches no kernel.
    """
    _check_patterns(
      (*self.only, *self.keep), [use.path for use in inventory.kernels], "kernel"
    )

    def is_wanted(index: int, use: KernelUse) -> bool:
      return (
        any(fnmatch.fnmatchcase(use.path, pattern) for pattern in self.only)
        and not any(fnmatch.fnmatchcase(use.path, pattern) for pattern in self.keep)
        and not (self.keep_first and index == 0)
        and not (self.keep_depthwise and use.is_depthwise)
      )

    return tuple(u for i, u in enumerate(inventory.kernels) if is_wanted(i, u))


def _check_patterns(patterns, paths: list[str], what: str) -> None:
  for pattern in patterns:
    if not fnmatch.filter(paths, pattern):
      raise UserError(
        f"Pattern {pattern!r} matches no {what}.{codec.nearest(pattern, paths)}"
      )
