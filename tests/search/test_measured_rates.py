"""What each kernel's rate adds to the price of a network."""

import dataclasses

import pytest

from neural_epitome.planning import DensePlanner
from neural_epitome.search import allocation
from neural_epitome.search.measured_rates import MeasuredRates
from neural_epitome.training import setup
from tests.search.test_allocation import CONFIG


def test_prices_add_up_to_those_of_the_plan(tmp_path):
  inventory = setup.plan(dataclasses.replace(CONFIG, planner=DensePlanner()))[0]
  for budget in ("60kB", "15k parameters", "0.12M madds"):
    uniform = allocation.allocate(CONFIG, budget, "uniform", tmp_path)
    measured_rates = MeasuredRates(CONFIG, uniform, inventory)
    for rates in measured_rates.space.sample(3, count=5):
      chosen = {
        path: generators[k]
        for (path, generators), k in zip(
          measured_rates.members.items(), rates.member, strict=True
        )
      }
      assert measured_rates.total_price(rates) == pytest.approx(
        measured_rates.price(chosen), abs=8
      )
