"""What the search benchmark compares is comparable, and is not done twice."""

import dataclasses

import numpy as np

from benchmarks import search, search_latency
from benchmarks.search_lab import QUICK, Lab, narrowed
from benchmarks.search_rows import Table
from neural_epitome.search.prices import Prices


def test_the_narrowed_network_costs_as_much_as_what_is_searched():
  config = search.configure("embedded", None)
  space = config.model.space
  for share in (0.5, 0.25):
    budget = share * Prices(space, 10, 1).of(space.largest)["madds"]
    narrow = search.narrowed_to(space, 10, config.data, budget)
    found = Prices(narrow, 10, 1).of(narrow.largest)["madds"]
    assert 0.94 * budget < found <= budget
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
