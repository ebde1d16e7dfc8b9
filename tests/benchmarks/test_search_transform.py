"""NAT judged where the truth is known: the landscape, the controls and their rows."""

import dataclasses

import numpy as np
import pytest

from benchmarks.search import transform, transform_page
from benchmarks.search.truth.cells import CellLandscape
from neural_epitome.models.cell_files import load_cells
from neural_epitome.models.cell_operations import NULL
from neural_epitome.models.cells import Cells


@pytest.mark.parametrize("neighbours", [0, 1, 3])
def test_equal_networks_have_equal_values_whatever_stands_on_dead_edges(neighbours):
  truth = CellLandscape(neighbours)
  given = load_cells("darts").normal
  edges = tuple(e._replace(operation=NULL) if e.target == 2 else e for e in given.edges)
  without = dataclasses.replace(given, edges=edges)
  canonical = without.canonical()
  assert canonical.edges != without.edges  # 2 -> 5 is dead, too
  both = [Cells(cell, given) for cell in (without, canonical)]
  first, second = truth.truth(both)
  assert first == second
  assert 0 < first < 1


def test_without_neighbours_a_change_is_worth_the_same_in_every_cell():
  truth = CellLandscape(0)
  darts, resnet = (load_cells(name).reduction for name in ("darts", "resnet"))
  gains = []
  for normal in (load_cells("darts").normal, load_cells("mobilenet_v2").normal):
    before, after = truth.truth([Cells(normal, darts), Cells(normal, resnet)])
    gains.append(after - before)
  assert gains[0] == pytest.approx(gains[1])


def test_noise_is_of_what_is_told_alone():
  truth, given = CellLandscape(1, noise=0.1), [load_cells("darts")] * 200
  told = np.array(truth.told(given))
  assert len(set(truth.truth(given))) == 1
  assert told.std() == pytest.approx(0.1, rel=0.2)


@pytest.mark.slow
def test_the_ascent_is_better_and_no_dearer():
  truth = CellLandscape(1)
  prices = transform.editor("two_levels").prices
  for cells in transform.held_out(0, 2):
    found = transform.climbed(cells, truth.truth)
    before, after = truth.truth([cells, found])
    assert after > before
    for metric, price in prices.of(found).items():
      assert price <= prices.of(cells)[metric]


@pytest.mark.slow
def test_rows_of_all_arms_make_the_page():
  rows = []
  for truth, name in transform.owed(1):
    if (truth.neighbours, truth.noise) == transform.ABLATED:
      made = transform.row(name, truth, steps=2, count=4)
      assert list(made) == list(transform.COLUMNS)
      assert float(made["worst_parameters"]) <= 1
      assert float(made["worst_madds"]) <= 1
      rows.append({key: str(value) for key, value in made.items()})
  by_arm = {row["arm"]: row for row in rows}
  assert float(by_arm["identity"]["ten"]) == 0
  assert float(by_arm["random_nat++"]["ahead"]) == 0
  parts = transform_page.parts(rows)
  for name in transform_page.NAMES.values():
    assert any(name in part for part in parts.values())
