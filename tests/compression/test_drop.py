"""The smallest file within a bound of the score is found in few trials."""

import types

import pytest

from neural_epitome.compression import drop
from neural_epitome.compression.measured import TooSmall
from neural_epitome.errors import UserError


class Way:
  """Files of one way to divide bytes, good from so many on; what is lost in them."""

  def __init__(self, needed, left=0):
    self.needed, self.left = needed, left

  def __call__(self, budget):
    if budget < 1000:
      raise TooSmall(budget, 1000)
    size = min(budget, 50_000) - self.left
    return types.SimpleNamespace(
      totals=types.SimpleNamespace(stored_bytes=size), is_kept=budget >= self.needed
    )


def found(*ways, max_drop=1.0):
  """The size that is found, and the sizes of all that were tried."""
  trials = []

  def lost(small):
    trials.append(small.totals.stored_bytes)
    return 1.0 if small.is_kept else 1.5

  small = drop.smallest(ways, lost, max_drop, 100_000)
  return small.totals.stored_bytes, trials


@pytest.mark.parametrize("needed", [1001, 2345, 17_000, 49_999])
def test_it_is_within_the_bound_and_near_the_smallest_that_is(needed):
  size, trials = found(Way(needed))
  assert needed <= size < 1.07 * needed
  assert len(trials) <= 8


@pytest.mark.parametrize("best", range(3))
def test_of_several_ways_it_is_no_larger_than_the_best_of_them_finds(best):
  needed = [30_000, 9000, 45_000]
  needed[best] = 3456
  ways = [Way(size) for size in needed]
  size, trials = found(*ways)
  assert size == min(found(way)[0] for way in ways)
  assert len(trials) <= 23


def test_of_ways_that_are_good_from_the_same_size_on_it_is_the_one_that_leaves_most():
  assert found(Way(2345), Way(2345, left=20))[0] == found(Way(2345))[0] - 20


def test_a_way_that_nothing_keeps_is_not_in_the_way_of_another():
  assert found(Way(10**6), Way(2345))[0] == found(Way(2345))[0]


def test_a_bound_that_nothing_keeps_is_refused_with_what_is_lost():
  with pytest.raises(UserError, match=r"max_drop=0\.5 is exceeded .* drops 1"):
    found(Way(2000), max_drop=0.5)


@pytest.mark.parametrize("max_drop", [-1.0, float("nan"), float("inf")])
def test_a_bound_that_is_none_is_refused(max_drop):
  with pytest.raises(UserError, match="max_drop="):
    found(Way(2000), max_drop=max_drop)
