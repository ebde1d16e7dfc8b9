"""Cells: graphs, their files, dead nodes and prices."""

import json

import numpy as np
import pytest

from neural_epitome.errors import UserError
from neural_epitome.models import cell_files, cell_operations
from neural_epitome.models.cell_operations import NAMES, OPERATIONS
from neural_epitome.models.cells import Cell, Cells, Edge
from neural_epitome.spaces.cell_prices import (
  CellFrame,
  CellPrices,
  operation_price,
)

# Guo et al., arXiv 2102.10301: millions of multiply-adds and thousands of parameters at
# 128 channels of 32x32.
PAPER = {
  "conv_5x5": (419.4, 409.6),
  "conv_3x3": (151.0, 147.5),
  "sep_conv_5x5": (40.1, 39.2),
  "sep_conv_3x3": (35.9, 35.1),
  "dil_conv_5x5": (20.1, 19.6),
  "dil_conv_3x3": (18.0, 17.5),
  "conv_1x1": (16.8, 16.4),
  "max_pool_5x5": (3.3, 0),
  "avg_pool_5x5": (3.3, 0),
  "max_pool_3x3": (1.2, 0),
  "avg_pool_3x3": (1.2, 0),
  "skip": (0.1, 0),
  "null": (0, 0),
}
# The same, by old operation what the released rule allows.
ALLOWED = {
  "conv_5x5": NAMES,
  "conv_3x3": [
    *("conv_3x3", "conv_1x1", "sep_conv_3x3", "dil_conv_3x3"),
    *("max_pool_3x3", "avg_pool_3x3", "skip", "null"),
  ],
  "conv_1x1": ["conv_1x1", "skip", "null"],
  "sep_conv_5x5": [
    *("sep_conv_5x5", "sep_conv_3x3", "dil_conv_5x5", "dil_conv_3x3", "max_pool_5x5"),
    *("max_pool_3x3", "avg_pool_5x5", "avg_pool_3x3", "skip", "null"),
  ],
  "sep_conv_3x3": [
    *("sep_conv_3x3", "dil_conv_3x3", "max_pool_3x3", "avg_pool_3x3", "skip", "null"),
  ],
  "dil_conv_5x5": [
    *("dil_conv_5x5", "dil_conv_3x3", "max_pool_5x5", "max_pool_3x3"),
    *("avg_pool_5x5", "avg_pool_3x3", "skip", "null"),
  ],
  "dil_conv_3x3": ["dil_conv_3x3", "max_pool_3x3", "avg_pool_3x3", "skip", "null"],
  **{
    name: [
      *("avg_pool_5x5", "avg_pool_3x3", "max_pool_5x5", "max_pool_3x3", "skip", "null"),
    ]
    for name in ("avg_pool_5x5", "max_pool_5x5")
  },
  **{
    name: ["avg_pool_3x3", "max_pool_3x3", "skip", "null"]
    for name in ("avg_pool_3x3", "max_pool_3x3")
  },
  "skip": ["skip", "null"],
  "null": ["skip", "null"],
}


def edge(source, target, name):
  return Edge(target, source, NAMES.index(name))


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_an_operation_costs_what_its_paper_says(operation):
  parameters, madds = operation_price(operation, channels=128, size=32, stride=1)
  assert (round(madds / 1e6, 1), round(parameters / 1e3, 1)) == PAPER[operation.name]


def test_a_skip_that_halves_the_size_is_two_convolutions_on_half_the_channels():
  skip = OPERATIONS[cell_operations.SKIP]
  halves = 2 * (16 * 8)  # from 16 channels to 8, twice
  assert operation_price(skip, 16, 8, stride=2) == (halves, halves * 64)


@pytest.mark.parametrize("name", NAMES)
def test_the_rule_of_two_levels_is_the_released_one(name):
  may = cell_operations.transitions("two_levels")[NAMES.index(name)]
  assert {NAMES[new] for new in np.flatnonzero(may)} == {*ALLOWED[name]}


@pytest.mark.parametrize("name", NAMES)
def test_the_first_rule_keeps_skips_or_leaves_out(name):
  may = cell_operations.transitions("same_skip_null")[NAMES.index(name)]
  assert {NAMES[new] for new in np.flatnonzero(may)} == {name, "skip", "null"}


@pytest.mark.parametrize("name", cell_files.names())
def test_the_given_cells_survive_json_and_have_no_dead_edge(name, tmp_path):
  cells = cell_files.load_cells(name)
  path = tmp_path / "cells.json"
  path.write_text(json.dumps(cells.to_json()))
  assert cell_files.load_cells(path) == cells
  assert cells.canonical() == cells


def test_the_given_cells_are_the_published_ones():
  darts = cell_files.load_cells("darts").normal
  assert darts.outputs == (2, 3, 4, 5)
  assert edge(2, 5, "dil_conv_3x3") in darts.edges
  assert sum(NAMES[e.operation] == "sep_conv_3x3" for e in darts.edges) == 5
  enas = cell_files.load_cells("enas")
  assert enas.reduction.outputs == (2, 3, 6)  # its loose ends
  read = {e.source for e in enas.reduction.edges}
  assert {*range(2, 7)} - read == {*enas.reduction.outputs}
  vgg, resnet = (cell_files.load_cells(name).normal for name in ("vgg", "resnet"))
  more = {*resnet.live} - {*vgg.live}
  assert more == {edge(2, 5, "skip")}


def test_edges_that_nothing_depends_on_are_null_and_cost_nothing():
  cell = Cell(
    (
      edge(0, 2, "null"),  # so node 2 is zero,
      edge(2, 3, "conv_3x3"),  # and so is this,
      edge(1, 3, "skip"),
      edge(0, 4, "conv_5x5"),  # and nothing reads node 4.
    ),
    outputs=(3,),
  )
  assert cell.live == (edge(1, 3, "skip"),)
  canonical = cell.canonical()
  assert canonical.live == cell.live
  assert canonical.canonical() == canonical
  assert [(e.source, e.target) for e in canonical.edges] == [
    (0, 2),
    (1, 3),
    (2, 3),
    (0, 4),
  ]
  prices = CellPrices(CellFrame(cells=3, channels=8, image_size=8))
  assert prices.of_cell(cell, 0).tolist() == [0, 8 * 64]


def test_two_equal_edges_count_twice():
  cell = Cell((edge(0, 2, "conv_1x1"),) * 2, (2,))
  assert len(cell.live) == 2
  assert cell.canonical() == cell


def test_a_network_costs_the_sum_over_its_cells():
  frame = CellFrame(cells=4, channels=8, image_size=16)
  assert [(p.is_reduction, p.channels, size) for p, size in frame.places] == [
    (False, 8, 16),
    (True, 16, 8),
    (True, 32, 4),
    (False, 32, 4),
  ]
  one = Cell((edge(0, 2, "conv_3x3"), edge(2, 3, "skip")), (3,))
  none = Cell((edge(0, 2, "null"),), (2,))
  price = CellPrices(frame).of(Cells(none, one))
  assert price["parameters"] == 9 * (16**2 + 32**2)
  assert price["madds"] == (9 * 16**2 + 16) * 64 + (9 * 32**2 + 32) * 16


BAD = {
  "no list": ("[]", "two cells normal and reduction"),
  "no json": ("{", "is no JSON"),
  "no cell": ('{"normal": 1, "reduction": 1}', "edges and outputs"),
  "no edges": ({"edges": [], "outputs": [2]}, "must be a list"),
  "short row": ({"edges": [[0, 2]], "outputs": [2]}, r"edges\[0\].*from, to"),
  "operation": ({"edges": [[0, 2, "conv_3x4"]], "outputs": [2]}, "mean conv_3x3"),
  "a list": ({"edges": [[0, 2, ["skip"]]], "outputs": [2]}, "no operation"),
  "text": ({"edges": [["a", 2, "skip"]], "outputs": [2]}, "whole numbers"),
  "backwards": ({"edges": [[3, 2, "skip"]], "outputs": [2]}, "later node"),
  "into an input": ({"edges": [[0, 1, "skip"]], "outputs": [1]}, "later node"),
  "a gap": ({"edges": [[0, 3, "skip"]], "outputs": [3]}, "ends at node 2"),
  "no outputs": ({"edges": [[0, 2, "skip"]], "outputs": []}, "each once"),
  "twice": ({"edges": [[0, 2, "skip"]], "outputs": [2, 2]}, "each once"),
  "beyond": ({"edges": [[0, 2, "skip"]], "outputs": [3]}, "from 2 to 2"),
  "huge": ({"edges": [[0, 10**9, "skip"]], "outputs": [2]}, "whole numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_an_error_of_one_line(case, tmp_path):
  data, match = BAD[case]
  if not isinstance(data, str):
    data = json.dumps({"normal": data, "reduction": data})
  path = tmp_path / "cells.json"
  path.write_text(data)
  with pytest.raises(UserError, match=match) as caught:
    cell_files.load_cells(path)
  assert "\n" not in str(caught.value)
  assert str(path) in str(caught.value)


def test_an_unknown_name_is_an_error_that_names_the_nearest():
  with pytest.raises(UserError, match="mean darts"):
    cell_files.load_cells("dart")
  with pytest.raises(UserError, match="cannot be read"):
    cell_files.load_cells("none.json")
