"""The smallest file whose loss of score stays within a bound, found by bisection."""

import math
from collections.abc import Callable, Sequence

from neural_epitome.compression.compressed import Compressed
from neural_epitome.compression.measured import TooSmall
from neural_epitome.errors import UserError

# Sizes that are tried between the smallest and the largest: sizes of 30 to 1 are told
# apart by 6%.
_TRIALS = 6


def check(max_drop: float) -> None:
  """Raises UserError unless it is a number of at least 0."""
  if not (math.isfinite(max_drop) and max_drop >= 0):
    raise UserError(f"max_drop={max_drop} must be a number of at least 0.")


def smallest(
  ways: Sequence[Callable[[int], Compressed]],
  drop: Callable[[Compressed], float],
  max_drop: float,
  whole: int,
) -> Compressed:
  """Bisects between the smallest file there is and one with all that can be kept.

  A size is large enough where one of the ways stays within the bound. A larger file is
  taken to be as good as a smaller one at least; where it is not, the file that is found
  is one within the bound all the same.

  Args:
    ways: what each of them makes of so many bytes; the smallest files of all are alike.
    drop: what a file loses, in the unit of `max_drop`.
    max_drop: what may be lost.
    whole: bytes of the network as it is.

  Raises:
    UserError: for a bound below 0, or one that nothing stays within.
  """
  check(max_drop)
  order, least = list(ways), math.inf

  def within(budget: int) -> Compressed | None:
    """What stays within the bound, of the ways that did so last first."""
    nonlocal least
    for way in tuple(order):
      small = way(budget)
      lost = drop(small)
      if lost <= max_drop:
        order.remove(way)
        order.insert(0, way)
        return small
      least = min(least, lost)
    return None

  best, budget = within(whole), whole
  if best is None:
    raise UserError(
      f"max_drop={max_drop:g} is exceeded by the largest file already: it drops "
      f"{least:.3g}."
    )
  try:
    return order[0](1)  # nothing is as small
  except TooSmall as error:
    low, high = error.smallest, best.totals.stored_bytes
  for _ in range(_TRIALS):
    middle = round(math.sqrt(low * high))
    small = within(middle)
    if small is None:
      low = middle
    else:
      best, budget, high = small, middle, middle
  # Of so many bytes, ways leave different parts over.
  for way in order[1:]:
    small = way(budget)
    is_less = small.totals.stored_bytes < best.totals.stored_bytes
    if is_less and drop(small) <= max_drop:
      best = small
  return best
