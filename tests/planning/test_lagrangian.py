"""Choices of least loss within a budget."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neural_epitome.planning import lagrangian


@st.composite
def tables(draw):
  """Losses that rise and prices that fall, choice by choice, and a budget."""
  items, choices = draw(st.integers(1, 4)), draw(st.integers(2, 4))
  random = np.random.default_rng(draw(st.integers(0, 10**6)))
  losses = np.cumsum(random.random((items, choices)), axis=1)
  prices = np.cumsum(random.random((items, choices)) + 0.01, axis=1)[:, ::-1]
  share = draw(st.floats(0.0, 1.1))
  low, high = prices[:, -1].sum(), prices[:, 0].sum()
  return losses.tolist(), prices.tolist(), float(low + share * (high - low) + 1e-9)


def total(table, chosen):
  return sum(row[k] for row, k in zip(table, chosen, strict=True))


@given(tables())
def test_choices_fit_the_budget_and_no_cheaper_ones_lose_less(case):
  losses, prices, budget = case
  chosen = lagrangian.choose(losses, prices, budget)
  assert total(prices, chosen) <= budget
  for other in itertools.product(*(range(len(row)) for row in prices)):
    if total(prices, other) <= total(prices, chosen):
      assert total(losses, other) >= total(losses, chosen) - 1e-9


@given(tables())
def test_what_is_left_over_pays_for_no_better_choice_of_one_item(case):
  losses, prices, budget = case
  chosen = lagrangian.choose(losses, prices, budget)
  for item, row in enumerate(prices):
    for k in range(len(row)):
      other = [*chosen[:item], k, *chosen[item + 1 :]]
      if losses[item][k] < losses[item][chosen[item]] - 1e-9:
        assert total(prices, other) > budget - 1e-9


def test_a_budget_below_the_cheapest_choices_has_none():
  assert lagrangian.choose([[0.0, 1.0]], [[4.0, 2.0]], 1.0) is None


def test_a_budget_for_everything_takes_the_least_loss():
  losses, prices = [[0.0, 1.0], [0.5, 0.5]], [[4.0, 2.0], [4.0, 2.0]]
  assert lagrangian.choose(losses, prices, 8.0) == [0, 1]
