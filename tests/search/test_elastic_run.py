"""The run that allocations are measured with, and the images that it holds out."""

import dataclasses

from neural_epitome.planning import BudgetPlanner
from neural_epitome.search import elastic_run
from tests.search.test_allocation import CONFIG


def test_one_network_is_measured_for_every_budget_share_and_number_of_bits():
  planner = BudgetPlanner(
    bytes=1, bits=8, rules=dataclasses.replace(CONFIG.planner, rate=7.0, allocation=0.3)
  )
  other = dataclasses.replace(CONFIG, planner=planner, bits=8)
  assert elastic_run.elastic_config(other) == elastic_run.elastic_config(CONFIG)


def test_folds_hold_out_the_last_of_them():
  data = dataclasses.replace(CONFIG.data, train_split="fold_1+fold_2+fold_4")
  held_out = elastic_run.with_held_out(data)
  assert (held_out.train_split, held_out.evaluation_split) == (
    "fold_1+fold_2",
    "fold_4",
  )
