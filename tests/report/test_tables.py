import re

import pytest
from tabulate import tabulate

from neural_epitome.cost import plan_table, totals
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import (
  Epitome,
  SharedEpitomeRule,
  WindowedEpitome,
)
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.report import tables

STEM = KernelUse("stem/kernel", (3, 3, 1, 8), strides=(1, 1), output_size=(4, 4))
HEAD = KernelUse("block/head/kernel", (1, 1, 8, 16), strides=(1, 1), output_size=(4, 4))
INVENTORY = Inventory((STEM, HEAD), {"norm/scale": (16,)})
PLAN = plans.make(
  INVENTORY.kernels, {"block/head/kernel": Epitome((1, 1, 8, 4), "factorised")}
)
REPORT = {
  "top1": 0.8125,
  "top1_ema": None,
  "stored_params": 500,
  "expanded_params": 1000,
  "stored_bytes": 2000,
  "madds": 3000,
  "adds": 70,
  "dense_madds": 4000,
  "dense_params": 1000,
  "seconds": 12.345,
}


def test_a_row_has_layer_kernel_epitome_stored_and_rate():
  rows = plan_table.plan_rows(PLAN, INVENTORY)
  # 32 numbers and an offset for each of the four replicas.
  expected = ["block/head", "1x1x8x16", "1x1x8x4 factorised", "36", "3.56"]
  assert rows[0] == expected
  assert rows[1] == ["1 other kernel", "", "dense", "72", "1.00"]
  assert rows[2][3] == "16"


def test_the_plan_is_set_as_tabulate_sets_it():
  rows = plan_table.plan_rows(PLAN, INVENTORY)
  align = ("left", "left", "left", "right", "right")
  expected = tabulate(
    rows, plan_table.PLAN_HEADERS, colalign=align, disable_numparse=True
  )
  assert plan_table.plan_table(PLAN, INVENTORY) == expected


def test_a_kernel_of_windows_has_its_rate_in_bytes():
  windows = {"block/head/kernel": WindowedEpitome(16, (1, 1, 4))}
  rows = plan_table.plan_rows(plans.make(INVENTORY.kernels, windows), INVENTORY)
  # 32 places of four bits each, 16 numbers of the ring and 16 scales in float32.
  rate = f"{4 * 128 / (32 * 4 / 8 + 4 * (16 + 16)):.2f}"
  expected = ["windows of 4 inputs, ring of 16", "64", rate]
  assert rows[0] == ["block/head", "1x1x8x16", *expected]


SHARED = plans.make(
  INVENTORY.kernels,
  SharedEpitomeRule(block=50).together(INVENTORY.kernels, 40),
  {use.path: SharedEpitomeRule.shared for use in INVENTORY.kernels},
)


@pytest.mark.parametrize("plan", [PLAN, SHARED], ids=["own", "shared"])
def test_stored_numbers_add_up_to_the_price(plan):
  rows = plan_table.plan_rows(plan, INVENTORY)
  assert sum(int(row[3].replace(",", "")) for row in rows) == (
    totals.price(plan, INVENTORY).stored_params
  )


def test_a_shared_tensor_has_one_row_with_the_rate_of_all_its_kernels():
  rows = plan_table.plan_rows(SHARED, INVENTORY)
  assert rows[0] == ["stem", "3x3x1x8", "shared_epitome", "2", ""]
  assert rows[1] == ["block/head", "1x1x8x16", "shared_epitome", "3", ""]
  # 200 weights from an epitome of 35 and five factors.
  assert rows[2] == ["shared_epitome", "of 2 kernels", "35", "35", "5.00"]


def test_the_result_stands_beside_the_dense_network():
  text = tables.result_table(REPORT)
  assert "EMA" not in text
  rows = {line[:20].strip(): line[20:].split() for line in text.splitlines()[2:]}
  assert rows["top-1"] == ["81.25%"]
  assert rows["stored parameters"] == ["500", "1,000", "0.500"]
  assert rows["stored bytes"] == ["2,000", "4,000", "0.500"]
  assert rows["MAdds"] == ["3,000", "4,000", "0.750"]
  assert rows["adds for wrapping"] == ["70", "0"]
  ema = tables.result_table(REPORT | {"top1_ema": 0.9})
  assert re.search(r"top-1, EMA weights +90\.00%", ema)


def test_fewer_multiply_adds_name_the_flag_that_saves_them():
  label = "MAdds with --config.execution=fold"
  assert label not in tables.result_table(REPORT), "older reports do not say"
  assert label not in tables.price_table(REPORT | {"folded_madds": 3000})
  rows = tables.price_rows(REPORT | {"folded_madds": 1000})
  assert [label, "1,000", "4,000", "0.250"] in rows
