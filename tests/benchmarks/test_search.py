"""What the search benchmark compares is comparable, and is not done twice."""

import neural_epitome as ne
from benchmarks import search
from neural_epitome.models.chain_space import ChainSpace
from neural_epitome.search.prices import Prices


def test_the_narrowed_network_costs_as_much_as_what_is_searched():
  space: ChainSpace = ne.load_experiment(search.EXPERIMENT).model.space
  largest = Prices(space, search.CLASSES, 1).of(space.largest)["madds"]
  budget = search.BUDGET * largest
  narrow = search.narrowed(space, budget)
  found = Prices(narrow, search.CLASSES, 1).of(narrow.largest)["madds"]
  assert 0.9 * budget < found <= budget
  assert len(narrow.positions) == len(space.positions)


def test_an_answer_that_is_known_is_found_again(tmp_path):
  path = tmp_path / "search.csv"
  table = search.Table(path, "command")
  table.add("random", 1, "search", top1=50.25, evaluations=3)
  again = search.Table(path, "command")
  row = again.find("random", 1, "search")
  assert (row["top1"], row["evaluations"]) == ("50.25", "3")
  assert again.find("random", 0, "search") is None
  again.add("random", 0, "search", top1=40.0)
  assert len(path.read_text().splitlines()) == 3
