"""The smallest file within a bound of the score is found in few trials."""

import types

import pytest

from neural_epitome.compression import drop
from neural_epitome.compression.measured import TooSmall
from neural_epitome.errors import UserError


def found(needed, max_drop=1.0):
  """What is found where files from `needed` bytes on stay within 1; and the trials."""
  trials = []

  def within(budget):
    if budget < 1000:
      raise TooSmall(budget, 1000)
    size = min(budget, 50_000)
    return types.SimpleNamespace(totals=types.SimpleNamespace(stored_bytes=size))

  def lost(small):
    trials.append(small.totals.stored_bytes)
    return 1.0 if trials[-1] >= needed else 1.5

  small = drop.smallest(within, lost, max_drop, 100_000)
  return small.totals.stored_bytes, trials


@pytest.mark.parametrize("needed", [1001, 2345, 17_000, 49_999])
def test_it_is_within_the_bound_and_near_the_smallest_that_is(needed):
  size, trials = found(needed)
  assert needed <= size < 1.07 * needed
  assert len(trials) <= 8


def test_a_bound_that_nothing_keeps_is_refused_with_what_is_lost():
  with pytest.raises(UserError, match=r"max_drop=0\.5 is exceeded .* drops 1"):
    found(2000, max_drop=0.5)


@pytest.mark.parametrize("max_drop", [-1.0, float("nan"), float("inf")])
def test_a_bound_that_is_none_is_refused(max_drop):
  with pytest.raises(UserError, match="max_drop="):
    found(2000, max_drop)
