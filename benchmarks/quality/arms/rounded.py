"""The dense network in integers of a few bits, rounded to the nearest."""

from benchmarks.quality.arms.base import Start, Teacher, stored_bytes
from benchmarks.quality.images import CLASSES
from neural_epitome import models
from neural_epitome.planning import DensePlanner


def rounded(teacher: Teacher, bits: int) -> Start:
  """Every kernel in `bits`, a factor an output channel; the rest in float32."""
  plan = DensePlanner().plan(teacher.inventory).narrowed(bits)
  model = models.create(teacher.network.config, CLASSES, plan=plan)
  return Start(model, teacher.variables, stored_bytes(plan, teacher.inventory))
