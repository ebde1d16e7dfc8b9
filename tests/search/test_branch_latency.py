"""Branches of a multi-branch space, timed on this machine."""

import dataclasses

import numpy as np
import pytest

from neural_epitome.errors import UserError
from neural_epitome.search import latency_tables
from neural_epitome.spaces import multi_branch_latency
from neural_epitome.spaces.gate_options import GateOptions, Penalty
from neural_epitome.spaces.multi_branch_prices import BranchPrices
from neural_epitome.training import gate_step
from tests.search.nse_tiny import CONFIG, SPACE


@pytest.mark.slow
def test_a_measured_table_prices_choices_and_penalises_gates(tmp_path):
  path = tmp_path / "table.json"
  table = latency_tables.write(CONFIG, path, batch=1, networks=2, quiet=True)
  read = multi_branch_latency.load(str(path), SPACE, anywhere=False)
  assert read == table
  times, joins = table.tables(SPACE)
  assert np.all(times[SPACE.usable] > 0)
  prices = BranchPrices(SPACE, 10, 1, table)
  arch = SPACE.largest
  # Three branches and the input, and three branches of the cell that strides.
  expected = table.ends + times.sum() + 3 * joins[0] + 2 * joins[1]
  assert prices.of(arch)["latency"] == pytest.approx(expected)
  # The price of gates is that of choices.
  gates = GateOptions(
    penalties=(Penalty("latency", target=1.0),), latency_table=str(path)
  )
  model = dataclasses.replace(CONFIG.model, gates=gates)
  learned = gate_step.of(dataclasses.replace(CONFIG, model=model), 10)
  every = np.full((2, 2), 7)
  price = learned.slots.price(np.full((2, 2), 0.5, np.float32), every, "latency")
  assert price == pytest.approx(expected, rel=1e-5)


def table():
  from neural_epitome.spaces.latency import Circumstances

  rows = tuple(
    (cell, number, 1.0 + number)
    for cell, own in enumerate(SPACE.pools)
    for number in own
  )
  return multi_branch_latency.BranchTimes(
    Circumstances("elsewhere", "xla", 1),
    multi_branch_latency.frame_of(SPACE),
    SPACE.image_size,
    0.5,
    rows,
    (0.25, 0.25),
  )


def test_a_table_of_another_machine_or_space_is_refused(tmp_path):
  path = tmp_path / "table.json"
  table().save(path)
  with pytest.raises(UserError, match="was measured on elsewhere"):
    multi_branch_latency.load(str(path), SPACE, anywhere=False)
  assert multi_branch_latency.load(str(path), SPACE, anywhere=True) == table()
  for other, words in (
    (dataclasses.replace(SPACE, image_size=16), "is of another space"),
    (dataclasses.replace(SPACE, only=((0, 9),) * 2), "lacks operation 9 of cell 0"),
  ):
    with pytest.raises(UserError, match=words):
      multi_branch_latency.load(str(path), other, anywhere=True)
  path.write_text("{}")
  with pytest.raises(UserError, match="is no table of branches"):
    multi_branch_latency.load(str(path), SPACE, anywhere=True)


def test_every_branch_joins_once_and_an_empty_cell_costs_nothing():
  prices = BranchPrices(SPACE, 10, 1, table())
  times, _ = table().tables(SPACE)
  for arch in SPACE.sample(0, count=20):
    counts = np.asarray(arch.gates).sum(axis=1)
    joined = counts[0] + max(0, counts[1] - 1)
    expected = 0.5 + np.sum(arch.gates * times) + 0.25 * joined
    assert prices.of(arch)["latency"] == pytest.approx(expected)
