"""The ways to make the teacher small, a function each; a line here registers it."""

from benchmarks.compress import rivals as methods
from benchmarks.quality.arms import best, narrower, planned, rivals, rounded
from benchmarks.quality.arms.base import Arm, Start, Teacher

__all__ = ["ARMS", "Arm", "Start", "Teacher"]


def _rounded(bits: int) -> Arm:
  return lambda teacher, size, seed: rounded.rounded(teacher, bits)


ARMS: dict[str, Arm] = {
  "best": best.best,
  "best_examples": best.best_examples,
  "best_moving": best.best_moving,
  "nnc": rivals.nnc_codec(is_small_finer=False),
  "nnc_small_finer": rivals.nnc_codec(is_small_finer=True),
  "product_quantisation": rivals.product_quantisation(is_weighted=False),
  "product_quantisation_weighted": rivals.product_quantisation(is_weighted=True),
  "uniform_scalars": rivals.of_all(methods.uniform_scalars),
  "singular_vectors": rivals.of_all(methods.low_rank),
  "palette": rivals.palette,
  "int8": _rounded(8),
  "int4": _rounded(4),
  "int3": _rounded(3),
  "int2": _rounded(2),
  "low_rank": planned.low_rank,
  "narrower": narrower.narrower,
  "random": planned.random,
  "tile": planned.tile,
}
