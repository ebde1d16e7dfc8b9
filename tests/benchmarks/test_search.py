"""What the search benchmark compares is comparable, and is not done twice."""

import dataclasses

import numpy as np
import pytest

from benchmarks.search import latency as search_latency
from benchmarks.search import suite as search
from benchmarks.search.lab import QUICK, Lab, narrowed, narrowed_to
from benchmarks.search.rows import Table
from neural_epitome.spaces.cost_model import Prices

pytestmark = pytest.mark.slow


def test_the_narrowed_network_costs_as_much_as_what_is_searched():
  config = search.configure("embedded", None)
  space = config.model.space
  largest = Prices(space, 10, 1).of(space.largest)
  for metric, share in (("madds", 0.5), ("madds", 0.25), ("bytes", 0.25)):
    budget = share * largest[metric]
    narrow = narrowed_to(space, 10, 1, metric, budget)
    price = Prices(narrow, 10, 1).of(narrow.largest)[metric]
    assert 0.91 * budget < price <= budget
    assert len(narrow.positions) == len(space.positions)


def test_an_answer_that_is_known_is_found_again(tmp_path):
  path = tmp_path / "search.csv"
  table = Table(path, "experiment", "embedded", "command")
  table.add("random", 1, "search", top1=50.25, evaluations=3)
  again = Table(path, "experiment", "embedded", "command")
  row = again.find("random", 1, "search")
  assert (row["top1"], row["evaluations"]) == ("50.25", "3")
  assert again.find("random", 0, "search") is None
  # Another data set has answers of its own, in the same file.
  other = Table(path, "experiment", "fashion_mnist", "command")
  assert other.find("random", 1, "search") is None
  other.add("random", 1, "search", top1=40.0)
  assert len(path.read_text().splitlines()) == 3


def test_whole_networks_are_timed_in_the_order_they_are_given(tmp_path):
  config = search.configure("embedded", None, quick=True)
  table = Table(tmp_path / "search.csv", "experiment", "embedded", "command")
  lab = Lab(config, QUICK, tmp_path, table, float("inf"))
  space = dataclasses.replace(lab.space, head=1024, stem=64)
  networks = [
    space.network(space.largest),
    narrowed(space, 0.1).network(narrowed(space, 0.1).largest),
  ]
  large, small = search_latency.AtLatency(lab, "none").times(networks, rounds=10)
  assert 0 < small < large
  assert np.isfinite(large)


def test_the_blocks_after_the_first_cost_the_same_on_cluttered_pictures():
  small = search.configure("embedded", None).model.space
  config = search.configure("cluttered_fashion_mnist", "DIR")
  large = config.model.space
  assert (config.data.image_size, large.image_size, small.image_size) == (56, 56, 28)
  large.check()
  assert large.positions[1:] == small.positions[1:]
  assert large.positions[0].size == 2 * small.positions[0].size
