"""Planners: what a rate means, what a budget meets, what is refused."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_epitome import models
from neural_epitome.cost import inventory, totals
from neural_epitome.epitome.generators import Dense, Epitome
from neural_epitome.errors import UserError
from neural_epitome.planning import BudgetPlanner, DensePlanner, UniformPlanner
from neural_epitome.planning.uniform import epitome_shape

FOUND = inventory.take(models.create(models.MobileNetV2Config(), 10), (28, 28, 1))


@given(
  st.tuples(st.integers(1, 3), st.integers(1, 64), st.integers(1, 64)),
  st.floats(1, 1e4),
  st.sampled_from(["wide", "input", "output", "both"]),
  st.integers(0, 2),
)
def test_an_epitome_has_at_most_its_share_of_weights_and_fits(
  shape, rate, side, margin
):
  window, inputs, outputs = shape
  kernel = (window, window, inputs, outputs)
  epitome = epitome_shape(kernel, rate, side, margin)
  Epitome(epitome).check(kernel)
  smallest = epitome[-2:] == (1, 1)
  assert math.prod(epitome) <= math.prod(kernel) / rate * (1 + 1e-6) or smallest


@pytest.mark.parametrize(
  ("side", "expected"),
  [("wide", (1, 1, 16, 48)), ("input", (1, 1, 8, 96)), ("both", (1, 1, 11, 69))],
)
def test_the_rate_falls_on_the_side_that_is_named(side, expected):
  assert epitome_shape((1, 1, 16, 96), 2.0, side) == expected


def test_first_layer_and_depthwise_kernels_stay_dense_by_default():
  plan = UniformPlanner().plan(FOUND)
  for use in FOUND.kernels:
    is_dense = isinstance(plan.kernels[use.path].generator, Dense)
    assert is_dense == (use.is_depthwise or use.path == "stem/kernel")


def test_patterns_choose_kernels_and_one_that_matches_none_is_an_error():
  plan = UniformPlanner(only=("head/*",)).plan(FOUND)
  assert plan.compressed == ("head/kernel",)
  plan = UniformPlanner(keep=("block_*",)).plan(FOUND)
  assert plan.compressed == ("head/kernel", "classifier/kernel")
  with pytest.raises(UserError, match="head/kernel"):
    UniformPlanner(only=("heads/kernel",)).plan(FOUND)


@pytest.mark.parametrize("rate", [0.5, float("nan")])
def test_a_rate_below_one_is_refused(rate):
  with pytest.raises(UserError, match="rate"):
    UniformPlanner(rate=rate).plan(FOUND)


@pytest.mark.parametrize("name", ["parameters", "bytes", "madds"])
@pytest.mark.parametrize("share", [0.9, 0.5, 0.35])
def test_a_budget_is_met_and_used(name, share):
  def priced(plan):
    price = totals.price(plan, FOUND, "fold", bits=8)
    return {
      "parameters": price.stored_params,
      "bytes": price.stored_bytes,
      "madds": price.madds,
    }[name]

  budget = int(share * priced(DensePlanner().plan(FOUND)))
  plan = BudgetPlanner(**{name: budget}, bits=8).plan(FOUND)
  assert 0.95 * budget <= priced(plan) <= budget


def test_a_budget_the_dense_network_meets_compresses_nothing():
  assert BudgetPlanner(parameters=10**9).plan(FOUND).compressed == ()


def test_an_infeasible_budget_names_the_smallest_feasible_one_which_is_then_met():
  with pytest.raises(UserError, match="smallest feasible") as caught:
    BudgetPlanner(parameters=1000).plan(FOUND)
  smallest = int(
    str(caught.value).split("budget is ")[1].split(" ")[0].replace(",", "")
  )
  plan = BudgetPlanner(parameters=smallest).plan(FOUND)
  assert totals.price(plan, FOUND).stored_params <= smallest


def test_blockwise_routing_cannot_meet_a_budget_in_multiply_adds():
  planner = BudgetPlanner(madds=1_000_000, rules=UniformPlanner(routing="blockwise"))
  with pytest.raises(UserError, match="madds"):
    planner.plan(FOUND)


def test_a_budget_planner_without_a_budget_is_refused():
  with pytest.raises(UserError, match=r"planner\.bytes"):
    BudgetPlanner().plan(FOUND)
