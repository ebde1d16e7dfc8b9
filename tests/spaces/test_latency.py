"""A latency table prices a choice by its rows, and knows whose it is."""

import dataclasses
import json

import pytest

from neural_epitome.errors import UserError
from neural_epitome.search import latency_measurement
from neural_epitome.spaces import latency
from neural_epitome.spaces.cost_model import Prices
from tests.spaces.tiny import PLAIN

# What they share is made once.
pytestmark = pytest.mark.xdist_group("search_latency")


@pytest.fixture(scope="module")
def table():
  space = dataclasses.replace(PLAIN, image_size=8, windows=(3,))
  return latency_measurement.measure(space, 3, 1, batch=2, networks=3, quiet=True)


@pytest.mark.slow
def test_a_choice_is_the_sum_of_its_rows(table):
  rows = {tuple(map(int, row[:-1])): row[-1] for row in table.blocks}
  ends = {inputs: time for inputs, *_, time in table.ends}
  for arch in table.space.sample(0, count=5):
    inputs = table.space.inputs(arch)
    expected = ends[inputs[-1]]
    for index, width in enumerate(arch.width):
      expected += rows[index, inputs[index], 3, int(width), 0, 1, 1]
    assert table.of(table.space, arch) == pytest.approx(expected)
    price = Prices(table.space, 3, 1, table).of(arch)
    assert price["latency"] == pytest.approx(expected)


@pytest.mark.slow
def test_every_choice_has_its_rows(table):
  for arch in [*table.space.sample(9, count=200), table.space.largest]:
    assert table.of(table.space, arch) > 0


@pytest.mark.slow
def test_whole_networks_were_timed_against_the_sums(table):
  assert table.checked == 3
  assert table.slope > 0
  assert -1 <= table.rank_correlation <= 1


@pytest.mark.slow
def test_a_table_comes_back_as_it_was(table, tmp_path):
  table.save(tmp_path / "table.json")
  again = latency.load(tmp_path / "table.json", table.space, anywhere=False)
  assert again == table
  data = json.loads((tmp_path / "table.json").read_text())
  assert len(data["columns"]) == len(data["blocks"][0])


@pytest.mark.slow
def test_a_table_of_another_machine_runtime_or_space_is_refused(table, tmp_path):
  path = tmp_path / "table.json"
  other = dataclasses.replace(table.circumstances, machine="a toaster")
  dataclasses.replace(table, circumstances=other).save(path)
  with pytest.raises(UserError, match=r"was measured on a toaster .*any_machine"):
    latency.load(path, table.space, anywhere=False)
  assert latency.load(path, table.space, anywhere=True).circumstances == other
  other = dataclasses.replace(table.circumstances, runtime="xla tpu, jax 9")
  dataclasses.replace(table, circumstances=other).save(path)
  with pytest.raises(UserError, match="xla tpu, jax 9"):
    latency.load(path, table.space, anywhere=False)
  with pytest.raises(UserError, match="is of another space"):
    latency.load(path, PLAIN, anywhere=True)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}'])
def test_what_is_no_table_is_told_in_a_line(tmp_path, text):
  path = tmp_path / "table.json"
  path.write_text(text)
  with pytest.raises(UserError) as caught:
    latency.load(path, PLAIN, anywhere=True)
  assert "\n" not in str(caught.value)
