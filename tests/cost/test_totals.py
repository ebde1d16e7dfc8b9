"""The published counts of specification 7, from plans and shapes alone."""

import functools

import pytest

from neural_epitome import models
from neural_epitome.cost import inventory, totals
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import Epitome, EpitomeRule
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.planning import DensePlanner, RatePlanner

EXPAND, PROJECT, HEAD = "*/expand/kernel", "*/project/kernel", "head/kernel"
FIRST = ("block_0/project/kernel",)
MOBILENET = models.MobileNetV2Config()
B0 = models.EfficientNetConfig()
GROUPED = models.EfficientNetConfig(grouped_se=True)


def tile(*only, keep=()):
  return RatePlanner(rate=2.0, rule=EpitomeRule(routing="tile"), only=only, keep=keep)


@functools.cache
def take(config):
  return inventory.take(models.create(config, 1000), (224, 224, 3))


@pytest.mark.slow
@pytest.mark.parametrize(
  ("config", "planner", "params", "madds"),
  [
    (MOBILENET, DensePlanner(), "3.505", "300.8"),
    (B0, DensePlanner(), "5.289", "385.8"),
    (B0, tile(EXPAND, PROJECT), "3.920", "226.6"),
    (B0, tile(EXPAND, PROJECT, keep=FIRST), None, "229.8"),
    (GROUPED, tile(EXPAND, PROJECT, HEAD), "3.106", "215.9"),
    (MOBILENET, tile(EXPAND), "3.13", "235.9"),
    (MOBILENET, tile(PROJECT, keep=FIRST), "3.02", "244.9"),
    (MOBILENET, tile(EXPAND, PROJECT, keep=FIRST), "2.65", "180.1"),
    (MOBILENET, tile(EXPAND, PROJECT, HEAD, keep=FIRST), "2.44", "170.0"),
  ],
)
def test_published_counts_are_reproduced_to_the_digit(config, planner, params, madds):
  listing = take(config)
  price = totals.price(planner.plan(listing), listing, "fold")
  assert f"{price.madds / 1e6:.1f}" == madds
  if params is not None:
    digits = len(params.partition(".")[2])
    assert f"{price.stored_params / 1e6:.{digits}f}" == params


def test_materialising_saves_bytes_and_no_multiply_adds():
  listing = take(MOBILENET)
  dense = totals.price(DensePlanner().plan(listing), listing)
  built = totals.price(RatePlanner().plan(listing), listing, "materialise")
  folded = totals.price(RatePlanner().plan(listing), listing, "fold")
  assert built.madds == dense.madds > folded.madds
  assert built.adds == 0 < folded.adds
  assert built.stored_bytes == folded.stored_bytes < dense.stored_bytes


def test_offsets_biases_and_norms_are_counted_and_only_tensors_shrink_with_bits():
  use = KernelUse("a/kernel", (8, 16))
  listing = inventory.Inventory((use,), {"a/bias": (16,)})
  plan = plans.make([use], {"a/kernel": Epitome((8, 4))})
  price = totals.price(plan, listing)
  # 32 epitome entries, 4 output offsets, 16 biases.
  assert price.stored_params == 32 + 4 + 16
  assert price.expanded_params == 128 + 16
  assert price.stored_bytes == 4 * price.stored_params
  # An integer has a factor, one for each of the epitome's 4 columns.
  assert totals.price(plan.narrowed(8), listing).stored_bytes == 32 + 4 * (4 + 16 + 4)


def test_a_shared_tensor_is_stored_once():
  uses = [KernelUse("a/kernel", (8, 16)), KernelUse("b/kernel", (8, 16))]
  generators = {use.path: Epitome((8, 4), "tile") for use in uses}
  shared = {use.path: {"epitome": "bank"} for use in uses}
  listing = inventory.Inventory(tuple(uses), {})
  plan = plans.make(uses, generators, shared)
  assert totals.price(plan, listing).stored_params == 32


def test_execution_may_differ_from_layer_to_layer():
  listing = take(MOBILENET)
  plan = RatePlanner(rule=EpitomeRule(routing="tile")).plan(listing)
  one = {"head/kernel": "fold"}
  saved = totals.price(plan, listing).madds - totals.price(plan, listing, one).madds
  head = next(use for use in listing.kernels if use.path == "head/kernel")
  assert saved == head.madds // 2


def test_wrap_adds_are_those_of_the_specification():
  use = KernelUse("a/kernel", (3, 3, 8, 8), 1, (2, 2), (10, 10), (5, 5))
  cost = Epitome((3, 3, 2, 4)).cost(use, folded=True)
  # (R_in - 1) Ci Hi Wi additions; Ho Wo kh kw Ci Co multiply-adds.
  assert cost.adds == 3 * 2 * 100
  assert cost.madds == 25 * 9 * 2 * 4
