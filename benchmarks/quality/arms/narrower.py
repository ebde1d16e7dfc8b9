"""A narrower network of the same architecture, from scratch, in int8."""

import dataclasses
from typing import Any

from benchmarks.quality.arms.base import Start, Teacher, stored_bytes
from benchmarks.quality.images import CLASSES
from benchmarks.quality.networks import initial, inventory_of
from neural_epitome import models
from neural_epitome.epitome.plan import Plan
from neural_epitome.errors import UserError
from neural_epitome.planning import DensePlanner

BITS = 8


def narrower(teacher: Teacher, size: int, seed: int) -> Start:
  """The widest network, to a channel, whose bytes the size allows.

  Raises:
    UserError: if there is none with a channel in every layer.
  """
  budget = teacher.budget(size)

  whole = teacher.network.config
  # MobileNetV2's head is as wide as ever below width 1, unless it is told.
  changes = {"head_shrinks": True} if hasattr(whole, "head_shrinks") else {}

  def at(width: float) -> Any:
    return dataclasses.replace(whole, width=width, divisor=1, **changes)

  def plan(width: float) -> Plan:
    return DensePlanner().plan(inventory_of(at(width))).narrowed(BITS)

  def price(width: float) -> int:
    return stored_bytes(plan(width), inventory_of(at(width)))

  low, high = 0.0, 1.0
  while high - low > 1e-3:
    middle = (low + high) / 2
    low, high = (middle, high) if price(middle) <= budget else (low, middle)
  if not low:
    raise UserError(f"No width of {whole.kind} fits {budget:,} bytes.")
  model = models.create(at(low), CLASSES, plan=plan(low))
  return Start(model, initial(model, seed), price(low))
