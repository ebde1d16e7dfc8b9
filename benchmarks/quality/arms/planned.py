"""Arms that are a plan: kernels generated from fewer numbers, those in int8.

The first kernel and depthwise ones stay dense, in int8 too.
"""

import contextlib
import dataclasses

import jax.numpy as jnp
import numpy as np

from benchmarks.quality.arms.base import Start, Teacher, flat, nested, stored_bytes
from benchmarks.quality.images import CLASSES
from benchmarks.quality.networks import initial
from neural_epitome import models
from neural_epitome.epitome import fitting
from neural_epitome.epitome.generators import EpitomeRule, LowRankRule
from neural_epitome.epitome.plan import Plan
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.errors import UserError
from neural_epitome.planning import RatePlanner

BITS = 8
# Small kernels are compressed less than large ones: the better choice of the suites of
# `benchmarks.controls` at high rates, and so is the classifier's larger share.
_ALLOCATION, _CLASSIFIER = 0.5, {"classifier/kernel": 4.0}
FIXED = IndexOptions(source="fixed", start="random")


def tile(teacher: Teacher, size: int, seed: int) -> Start:
  """Epitomes repeated as they are, from scratch but for the rest of the network.

  A tile fitted to a trained kernel is the mean of its replicas, nearly nothing.
  """
  rules = RatePlanner(rule=EpitomeRule(routing="tile"), allocation=_ALLOCATION)
  return _planned(teacher, size, seed, rules, is_fitted=False)


def random(teacher: Teacher, size: int, seed: int) -> Start:
  """Epitomes sampled at random places that never move; these are stored."""
  rule = EpitomeRule(routing="blockwise", side="both")
  rules = RatePlanner(rule=rule, allocation=_ALLOCATION)
  return _planned(teacher, size, seed, rules, is_fitted=False)


def low_rank(teacher: Teacher, size: int, seed: int) -> Start:
  """Two factors, from the teacher's singular vectors."""
  rules = RatePlanner(rule=LowRankRule(), allocation=_ALLOCATION, weights=_CLASSIFIER)
  return _planned(teacher, size, seed, rules, is_fitted=True)


def _planned(
  teacher: Teacher, size: int, seed: int, rules: RatePlanner, is_fitted: bool
) -> Start:
  plan = _plan(teacher, size, rules)
  model = models.create(teacher.network.config, CLASSES, plan=plan, indices=FIXED)
  variables = initial(model, seed)
  params = flat(variables["params"])
  given = flat(teacher.variables["params"])
  # What is no kernel, and kernels that stay dense.
  params |= {name: given[name] for name in params.keys() & given.keys()}
  if is_fitted:
    kernels = {path: np.asarray(given[path]) for path in plan.kernels}
    fitted = fitting.fit(plan, kernels, {})
    params |= {name: jnp.asarray(value) for name, value in fitted.items()}
  variables = {
    **variables,
    "params": nested(params),
    "batch_stats": teacher.variables["batch_stats"],
  }
  return Start(model, variables, stored_bytes(plan, teacher.inventory))


def _plan(teacher: Teacher, size: int, rules: RatePlanner) -> Plan:
  """The largest plan of the rules that a size allows, of those near it.

  Raises:
    UserError: if none does.
  """
  inventory, budget = teacher.inventory, teacher.budget(size)
  weights = sum(use.size for use in rules.compressible(inventory))
  rate, highest = max(1.0, weights / budget), rules.highest_rate(inventory)
  while rate <= highest:
    # At some rates the integers of a rule leave nothing near.
    with contextlib.suppress(UserError):
      plan = dataclasses.replace(rules, rate=rate).plan(inventory).narrowed(BITS)
      if stored_bytes(plan, inventory) <= budget:
        return plan
    rate *= 1.004
  raise UserError(f"{rules.rule.kind} cannot store the network in {budget:,} bytes.")
