"""Planners: what a rate means, what a budget meets, what is refused."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_epitome import codec, models
from neural_epitome.cost import inventory, totals
from neural_epitome.epitome.generators import (
  ChannelEpitomeRule,
  Dense,
  Epitome,
  EpitomeRule,
  HashedRule,
  LowRankRule,
  QuantisedRule,
  SharedEpitomeRule,
  WSNetRule,
)
from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError
from neural_epitome.planning import (
  BudgetPlanner,
  ChosenPlanner,
  DensePlanner,
  Planner,
  RatePlanner,
)

MOBILENET = inventory.take(models.create(models.MobileNetV2Config(), 10), (28, 28, 1))
SMALL = inventory.take(models.create(models.ResNetConfig(depth=8), 10), (28, 28, 1))


RULES = {
  "channels": ChannelEpitomeRule(),
  "tile": EpitomeRule(routing="tile"),
  "tile_scaled": EpitomeRule(routing="tile", scaled=True),
  "factorised": EpitomeRule(),
  "blockwise": EpitomeRule(routing="blockwise"),
  "both": EpitomeRule(side="both", margin=1),
  "low_rank": LowRankRule(),
  "hashed": HashedRule(),
  "wsnet": WSNetRule(),
  "wsnet_denser": WSNetRule(density=2),
}
SHARING = {"shared_epitome": SharedEpitomeRule(block=256)}


@st.composite
def kernels(draw):
  """Kernels of 1-D, 2-D and dense layers."""
  window = (draw(st.integers(1, 5)),) * draw(st.sampled_from([0, 1, 2]))
  return KernelUse(
    "some/kernel", (*window, draw(st.integers(1, 64)), draw(st.integers(2, 64)))
  )


def attempt(call):
  """The result and None, or None and the user's error."""
  try:
    return call(), None
  except UserError as error:
    return None, str(error)


@given(kernels(), st.floats(1.0, 100.0), st.sampled_from(sorted(RULES | SHARING)))
def test_a_rule_stores_at_most_one_percent_more_than_is_wanted(use, rate, name):
  rule, target = (RULES | SHARING)[name], int(use.size / rate)
  generator, refused = attempt(lambda: rule.at(use, target))
  if refused is None:
    generator.check(use.shape)
    assert generator.stored(use.shape) <= 1.01 * target
  else:
    assert rule.kind in refused
    assert use.path in refused
    assert rule.smallest(use) > target


@given(kernels(), st.sampled_from(sorted(RULES | SHARING)))
def test_the_smallest_size_of_a_rule_can_be_stored(use, name):
  rule = (RULES | SHARING)[name]
  smallest = rule.smallest(use)
  stored = rule.at(use, smallest).stored(use.shape)
  assert stored <= 1.01 * smallest or stored == use.size


@pytest.mark.parametrize("allocation", [1.0, 0.5])
@pytest.mark.parametrize("rate", [2.0, 4.0, 8.0, 16.0])
@pytest.mark.parametrize("name", sorted(RULES))
def test_the_total_is_the_dense_one_over_the_rate(name, rate, allocation):
  planner = RatePlanner(rate=rate, rule=RULES[name], allocation=allocation)
  for listing in (MOBILENET, SMALL):
    uses = planner.compressible(listing)
    plan = planner.plan(listing)
    stored = sum(plan.kernels[use.path].generator.stored(use.shape) for use in uses)
    assert stored == pytest.approx(sum(use.size for use in uses) / rate, rel=0.005)


@given(
  st.lists(st.tuples(st.integers(4, 64), st.integers(4, 64)), min_size=1, max_size=8),
  st.floats(1.0, 20.0),
  st.sampled_from(sorted(RULES | SHARING)),
)
def test_any_network_is_stored_within_one_percent_or_refused_by_name(
  shapes, rate, name
):
  rule = (RULES | SHARING)[name]
  uses = tuple(KernelUse(f"k{i}/kernel", (1, 1, *s)) for i, s in enumerate(shapes))
  planner = RatePlanner(rate=rate, rule=rule, keep_first=False)
  target = round(sum(use.size for use in uses) / rate)
  plan, refused = attempt(lambda: planner.plan(inventory.Inventory(uses, {})))
  if refused is None:
    stored = totals.price(plan, inventory.Inventory(uses, {})).stored_params
    assert abs(stored - target) <= 0.01 * target
  else:
    assert rule.kind in refused
    # What can store any number is never refused.
    assert name != "hashed"


@pytest.mark.parametrize(
  ("side", "expected"),
  [("wide", (1, 1, 16, 48)), ("input", (1, 1, 8, 96)), ("both", (1, 1, 11, 70))],
)
def test_the_rate_falls_on_the_side_that_is_named(side, expected):
  use = KernelUse("a/kernel", (1, 1, 16, 96))
  rule = EpitomeRule(side=side, routing="tile")
  assert rule.at(use, use.size // 2).shape == expected


def test_classes_are_told_apart_whatever_side_is_the_narrow_one():
  rule = EpitomeRule(side="narrow", routing="tile")
  conv = KernelUse("head/kernel", (1, 1, 96, 16))
  assert rule.at(conv, conv.size // 2).shape == (1, 1, 96, 8)
  dense = KernelUse("classifier/kernel", (96, 10))
  assert rule.at(dense, dense.size // 2).shape == (48, 10)


def test_an_epitome_has_the_margin_that_is_named():
  use = KernelUse("a/kernel", (3, 1, 16, 96))
  assert EpitomeRule(margin=2).at(use, use.size // 4).shape[:2] == (5, 1)


def rates_of(plan, uses):
  return [use.size / plan.kernels[use.path].generator.stored(use.shape) for use in uses]


def test_below_an_even_allocation_small_kernels_are_compressed_less():
  planner = RatePlanner(rate=8.0, rule=HashedRule(), allocation=0.5)
  uses = sorted(planner.compressible(MOBILENET), key=lambda use: use.size)
  rates = rates_of(planner.plan(MOBILENET), uses)
  assert rates == sorted(rates)
  assert rates[0] == 1.0 < 8.0 < rates[-1]
  # Between the bounds, stored numbers go as the square root of the size.
  ratio = rates[-1] / rates[-2]
  assert ratio == pytest.approx((uses[-1].size / uses[-2].size) ** 0.5, rel=0.01)


def test_weights_move_stored_numbers_between_kernels_and_keep_the_total():
  even = RatePlanner(rate=8.0, rule=HashedRule())
  uneven = dataclasses.replace(even, weights={"head/*": 0.5})
  uses = even.compressible(MOBILENET)
  head = next(i for i, use in enumerate(uses) if use.path == "head/kernel")
  before, after = (rates_of(p.plan(MOBILENET), uses) for p in (even, uneven))
  assert after[head] / after[0] == pytest.approx(2 * before[head] / before[0], rel=0.02)
  prices = [
    totals.price(p.plan(MOBILENET), MOBILENET).stored_params for p in (even, uneven)
  ]
  assert prices[0] == pytest.approx(prices[1], rel=0.001)
  assert codec.decode(Planner, codec.encode(uneven)) == uneven


@pytest.mark.parametrize(
  ("weights", "words"), [({"heads/*": 1.0}, "heads"), ({"head/*": 0.0}, "above 0")]
)
def test_weights_that_mean_nothing_are_refused(weights, words):
  with pytest.raises(UserError, match=words):
    RatePlanner(weights=weights).plan(MOBILENET)


@pytest.mark.parametrize("name", ["low_rank", "blockwise"])
def test_a_size_out_of_reach_names_method_and_kernel(name):
  with pytest.raises(UserError, match=rf"{RULES[name].kind}.*head/kernel \[1, 1"):
    RatePlanner(rate=1000.0, rule=RULES[name]).plan(MOBILENET)


def test_quantised_kernels_are_a_plan_whatever_the_rate():
  plan = RatePlanner(rule=QuantisedRule(), keep_first=False).plan(MOBILENET)
  dense = totals.price(DensePlanner().plan(MOBILENET), MOBILENET)
  price = totals.price(plan, MOBILENET)
  uses = RatePlanner(keep_first=False).compressible(MOBILENET)
  weights = sum(use.size for use in uses)
  scales = sum(use.shape[-1] for use in uses)
  assert price.stored_params == dense.stored_params + scales
  assert price.stored_bytes == dense.stored_bytes - 3 * weights + 4 * scales


def test_first_layer_and_depthwise_kernels_stay_dense_by_default():
  plan = RatePlanner().plan(MOBILENET)
  for use in MOBILENET.kernels:
    is_dense = isinstance(plan.kernels[use.path].generator, Dense)
    assert is_dense == (use.is_depthwise or use.path == "stem/kernel")


def test_patterns_choose_kernels_and_one_that_matches_none_is_an_error():
  plan = RatePlanner(only=("head/*",)).plan(MOBILENET)
  assert plan.compressed == ("head/kernel",)
  plan = RatePlanner(keep=("block_*",)).plan(MOBILENET)
  assert plan.compressed == ("head/kernel", "classifier/kernel")
  with pytest.raises(UserError, match="head/kernel"):
    RatePlanner(only=("heads/kernel",)).plan(MOBILENET)


@pytest.mark.parametrize("rate", [0.5, float("nan")])
def test_a_rate_below_one_is_refused(rate):
  with pytest.raises(UserError, match="rate"):
    RatePlanner(rate=rate).plan(MOBILENET)


@pytest.mark.parametrize("name", ["parameters", "bytes", "madds"])
@pytest.mark.parametrize("share", [0.9, 0.5, 0.35])
def test_a_budget_is_met_and_used(name, share):
  def priced(plan):
    price = totals.price(plan.narrowed(8), MOBILENET, "fold")
    return {
      "parameters": price.stored_params,
      "bytes": price.stored_bytes,
      "madds": price.madds,
    }[name]

  budget = int(share * priced(DensePlanner().plan(MOBILENET)))
  plan = BudgetPlanner(**{name: budget}, bits=8).plan(MOBILENET)
  assert 0.95 * budget <= priced(plan) <= budget


def test_a_budget_the_dense_network_meets_compresses_nothing():
  assert BudgetPlanner(parameters=10**9).plan(MOBILENET).compressed == ()


def test_an_infeasible_budget_names_the_smallest_feasible_one_which_is_then_met():
  with pytest.raises(UserError, match="smallest feasible") as caught:
    BudgetPlanner(parameters=1000).plan(MOBILENET)
  smallest = int(
    str(caught.value).split("budget is ")[1].split(" ")[0].replace(",", "")
  )
  plan = BudgetPlanner(parameters=smallest).plan(MOBILENET)
  assert totals.price(plan, MOBILENET).stored_params <= smallest


def test_an_infeasible_number_of_bytes_says_what_fewer_bits_could_meet():
  with pytest.raises(UserError, match="with bits=8 it is") as caught:
    BudgetPlanner(bytes=1000).plan(MOBILENET)
  smallest = int(
    str(caught.value).partition("with bits=8 it is ")[2].split(";")[0].replace(",", "")
  )
  plan = BudgetPlanner(bytes=smallest, bits=8).plan(MOBILENET)
  assert totals.price(plan.narrowed(8), MOBILENET).stored_bytes <= smallest
  with pytest.raises(UserError) as caught:
    BudgetPlanner(bytes=1000, bits=8).plan(MOBILENET)
  assert "with bits" not in str(caught.value)


def test_blockwise_routing_cannot_meet_a_budget_in_multiply_adds():
  rules = RatePlanner(rule=EpitomeRule(routing="blockwise"))
  planner = BudgetPlanner(madds=1_000_000, rules=rules)
  with pytest.raises(UserError, match="madds"):
    planner.plan(MOBILENET)


def test_a_budget_planner_without_a_budget_is_refused():
  with pytest.raises(UserError, match=r"planner\.bytes"):
    BudgetPlanner().plan(MOBILENET)


@pytest.mark.parametrize("name", ["low_rank", "hashed", "wsnet", "shared_epitome"])
def test_a_budget_works_over_any_rule(name):
  rules = RatePlanner(rule=(RULES | SHARING)[name])
  planner = BudgetPlanner(parameters=600_000, rules=rules)
  price = totals.price(planner.plan(MOBILENET), MOBILENET)
  assert 0.97 * 600_000 <= price.stored_params <= 600_000


@pytest.mark.parametrize("rate", [2.0, 8.0, 16.0, 500.0])
def test_kernels_that_share_an_epitome_store_it_once(rate):
  rule = SharedEpitomeRule(block=4096)
  planner = RatePlanner(rate=rate, rule=rule)
  for listing in (MOBILENET, SMALL):
    weights = sum(use.size for use in planner.compressible(listing))
    plan = planner.plan(listing)
    assert plan.tensors["shared_epitome"].shape[0] < weights / rate
    dense = totals.price(DensePlanner().plan(listing), listing).stored_params
    stored = totals.price(plan, listing).stored_params
    assert stored - (dense - weights) == pytest.approx(weights / rate, rel=0.006)


def test_kernels_that_share_an_epitome_have_a_smallest_size_together():
  rules = RatePlanner(rule=SharedEpitomeRule(block=1000))
  uses = rules.compressible(SMALL)
  blocks = sum(-(-use.size // 1000) for use in uses)
  weights = sum(use.size for use in uses)
  assert rules.highest_rate(SMALL) == weights / (blocks + 1)
  with pytest.raises(UserError, match=rf"shared_epitome.*take {blocks}\."):
    dataclasses.replace(rules, rate=2 * rules.highest_rate(SMALL)).plan(SMALL)


@pytest.mark.parametrize("uneven", [{"allocation": 0.5}, {"weights": {"*": 2.0}}])
def test_one_tensor_for_all_kernels_cannot_be_shared_out(uneven):
  with pytest.raises(UserError, match=r"planner\.allocation"):
    RatePlanner(rule=SharedEpitomeRule(), **uneven).plan(MOBILENET)


def test_what_is_chosen_kernel_by_kernel_is_what_is_planned():
  path = "block_3/expand/kernel"
  use = next(use for use in MOBILENET.kernels if use.path == path)
  chosen = {path: Epitome((*use.shape[:-1], use.shape[-1] // 2), "tile")}
  planner = ChosenPlanner(chosen)
  assert codec.decode(Planner, codec.encode(planner)) == planner
  plan = planner.plan(MOBILENET)
  assert plan.compressed == (path,)
  assert plan.kernels[path].generator == chosen[path]
  with pytest.raises(UserError, match=r"no kernel 'block_x/kernel'"):
    ChosenPlanner({"block_x/kernel": Dense()}).plan(MOBILENET)


def test_bits_are_chosen_kernel_by_kernel_too():
  path = "block_3/expand/kernel"
  plan = ChosenPlanner(bits={path: 4}).plan(MOBILENET)
  narrow = {name: spec.bits for name, spec in plan.tensors.items() if spec.bits < 32}
  assert narrow == {path: 4}
  with pytest.raises(UserError, match=r"no kernel 'block_x/kernel'"):
    ChosenPlanner(bits={"block_x/kernel": 4}).plan(MOBILENET)
  with pytest.raises(UserError, match="bits=9 must be 32 or 16"):
    ChosenPlanner(bits={path: 9}).plan(MOBILENET)


def test_a_choice_of_an_earlier_release_has_its_bits_around_its_generators():
  path, other = "block_3/expand/kernel", "head/kernel"
  epitome = Epitome((1, 1, 8, 8), "tile")
  old = {
    "kind": "chosen",
    "generators": {
      path: {"kind": "quantised", "bits": 4, "of": codec.encode(epitome)},
      other: {"kind": "quantised", "bits": 8, "of": {"kind": "dense"}},
    },
  }
  generators = {path: epitome, other: Dense()}
  assert codec.decode(Planner, old) == ChosenPlanner(generators, {path: 4, other: 8})


def test_an_earlier_choice_that_is_none_is_refused_by_name():
  with pytest.raises(UserError, match=r"value\.generators=3 is not of type"):
    codec.decode(Planner, {"kind": "chosen", "generators": 3})
  with pytest.raises(UserError, match=r"kind='quantized' is unknown"):
    codec.decode(
      Planner, {"kind": "chosen", "generators": {"a": {"kind": "quantized"}}}
    )
