"""Sensitivities are followed as far as they help."""

import types

import pytest

from neural_epitome.compression import accuracy
from neural_epitome.compression.measured import TooSmall

WEIGHTS = {"a": 4.0, "b": 0.25}
TRIED = {"measured": WEIGHTS, "roots": {"a": 2.0, "b": 0.5}, "even": None}


def smallest(needed, weights):
  """The smallest size that is found where these are needed, by what errors count."""

  def make(budget, given):
    if budget < 1000:
      raise TooSmall(budget, 1000)
    [name] = [name for name, tried in TRIED.items() if tried == given]
    size = min(budget, 50_000)
    return types.SimpleNamespace(
      totals=types.SimpleNamespace(stored_bytes=size), lost=size < needed[name]
    )

  small = accuracy.smallest(make, weights, lambda small: small.lost, 0.5, 100_000)
  return small.totals.stored_bytes


@pytest.mark.parametrize("best", TRIED)
def test_within_a_drop_the_best_of_sensitivities_roots_and_even_shares_is_found(best):
  needed = dict.fromkeys(TRIED, 40_000) | {best: 3456}
  assert 3456 <= smallest(needed, WEIGHTS) < 1.07 * 3456


def test_where_nothing_was_measured_shares_are_even():
  assert 3456 <= smallest({"even": 3456}, None) < 1.07 * 3456
