"""The smallest file whose loss of score stays within a bound, found by bisection."""

import math
from collections.abc import Callable

from neural_epitome.compression.compressed import Compressed
from neural_epitome.compression.measured import TooSmall
from neural_epitome.errors import UserError

# Files that are tried between the smallest and the largest: sizes of 30 to 1 are told
# apart by 6%.
_TRIALS = 6


def check(max_drop: float) -> None:
  """Raises UserError unless it is a number of at least 0."""
  if not (math.isfinite(max_drop) and max_drop >= 0):
    raise UserError(f"max_drop={max_drop} must be a number of at least 0.")


def smallest(
  within: Callable[[int], Compressed],
  drop: Callable[[Compressed], float],
  max_drop: float,
  whole: int,
) -> Compressed:
  """Bisects between the smallest file there is and one with all that can be kept.

  A larger file is taken to be as good as a smaller one at least; where it is not, the
  file that is found is one within the bound all the same.

  Args:
    within: what is made of so many bytes.
    drop: what it loses, in the unit of `max_drop`.
    max_drop: what may be lost.
    whole: bytes of the network as it is.

  Raises:
    UserError: for a bound below 0, or one that nothing stays within.
  """
  check(max_drop)
  best = within(whole)
  least = drop(best)
  if not least <= max_drop:
    raise UserError(
      f"max_drop={max_drop:g} is exceeded by the largest file already: it drops "
      f"{least:.3g}."
    )
  try:
    return within(1)  # nothing is as small
  except TooSmall as error:
    low, high = error.smallest, best.totals.stored_bytes
  for _ in range(_TRIALS):
    middle = round(math.sqrt(low * high))
    small = within(middle)
    if drop(small) <= max_drop:
      best, high = small, middle
    else:
      low = middle
  return best
