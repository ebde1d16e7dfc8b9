"""The ways to make the teacher small, a function each; a line here registers it."""

from benchmarks.quality.arms import narrower, planned, rounded
from benchmarks.quality.arms.base import Arm, Start, Teacher

__all__ = ["ARMS", "Arm", "Start", "Teacher"]


def _rounded(bits: int) -> Arm:
  return lambda teacher, size, seed: rounded.rounded(teacher, bits)


ARMS: dict[str, Arm] = {
  "int8": _rounded(8),
  "int4": _rounded(4),
  "int3": _rounded(3),
  "int2": _rounded(2),
  "low_rank": planned.low_rank,
  "narrower": narrower.narrower,
  "random": planned.random,
  "tile": planned.tile,
}
