"""NAT on chains and other spaces of genes: no dearer, and better than chance."""

import dataclasses
import json

import numpy as np
import pytest

from neural_epitome.errors import UserError
from neural_epitome.models.multi_branch import MultiBranchConfig, Stage
from neural_epitome.search import driver
from neural_epitome.spaces.cost_model import Prices
from neural_epitome.spaces.gene_states import GeneStates
from neural_epitome.spaces.genes import Genes
from neural_epitome.spaces.multi_branch_space import MultiBranchSpace
from neural_epitome.strategies import NatSearch, Problem, nat
from neural_epitome.strategies.nat import Nat
from neural_epitome.strategies.policies.graph_policy import GraphPolicy
from neural_epitome.strategies.policies.policy_gradient import PolicyGradient
from tests.spaces.tiny import PLAIN, SPACE

PRICES = Prices(SPACE, classes=3, channels=1)
METRICS = ("madds", "parameters", "bytes")
TINY = Nat(
  GraphPolicy(embedding=8, features=16, hidden=16),
  PolicyGradient(learning_rate=0.02),
  given=2,
  drawn=4,
)


def price(metric):
  return lambda arch: PRICES.of(arch)[metric]


def problem(metric="madds", space=SPACE):
  return Problem(space, price(metric), price(metric)(space.largest), seed=1)


def windows(arch):
  """Made up: small windows are worth much, wide blocks a little."""
  return float(np.mean(arch.window == 3) + 0.1 * np.mean(arch.width > 0))


@pytest.mark.slow
@pytest.mark.parametrize("metric", METRICS)
def test_no_change_of_a_chain_is_dearer(metric):
  """By any metric, though one is the price: every gene only comes down."""
  own, random = GeneStates(SPACE, price(metric)), np.random.default_rng(0)
  dearer = {name: 0 for name in METRICS}
  changed = 0
  for _ in range(300):
    given = own.draw(random)
    allowed = own.state(given).allowed[0]
    options = [random.choice(np.flatnonzero(row)) for row in allowed]
    change = own.changed(given, np.array([options]))
    changed += change != given
    before, after = PRICES.of(given), PRICES.of(change)
    assert after[metric] <= before[metric]
    for name in METRICS:
      dearer[name] += after[name] > before[name]
  assert changed > 200
  assert dearer == dict.fromkeys(METRICS, 0)


def test_staying_as_it_is_is_always_allowed():
  own, random = GeneStates(SPACE, price("madds")), np.random.default_rng(1)
  for _ in range(20):
    given = own.draw(random)
    state = own.state(given)
    options = np.zeros(state.order.shape[-1], np.int64)
    for option, (_, node, slot, _) in zip(
      Genes(SPACE).options(given), own._layout, strict=True
    ):
      options[node * own.slots + slot] = option
      assert state.allowed[0, node * own.slots + slot, option]
    assert own.changed(given, options[None]) == given


def test_gates_of_cells_only_close():
  frame = MultiBranchConfig(
    cells=((0,), (4,)), stem=8, stem_cells=1, stages=(Stage(8, 2, 0),), head=16
  )
  space = MultiBranchSpace(frame=frame, image_size=16)
  own = GeneStates(space, lambda arch: space.price(arch, 1, 3)["madds"])
  random, closed = np.random.default_rng(0), 0
  for _ in range(50):
    given = own.draw(random)
    allowed = own.state(given).allowed[0]
    options = [random.choice(np.flatnonzero(row)) for row in allowed]
    change = own.changed(given, np.array([options]))
    closed += np.sum(change.gates) < np.sum(given.gates)
    for name, own_price in space.price(change, 1, 3).items():
      assert own_price <= space.price(given, 1, 3)[name]
  assert closed > 20


@pytest.mark.slow
def test_a_choice_of_a_file_comes_out_better_and_no_dearer(tmp_path):
  [given] = SPACE.sample(3, count=1)
  path = tmp_path / "found.json"
  path.write_text(json.dumps({"arch": given.to_json(), "top1": 0.5}))
  strategy = NatSearch(given=str(path), steps=30, learning=TINY)
  of = problem()
  asked = []

  def answer(arch):
    asked.append(arch)
    return windows(arch)

  answers = driver.ask_all(of, strategy, answer)
  assert len(asked) <= strategy.expected(of)
  assert next(iter(answers)) == given
  for arch in answers:  # candidates are changes of the given choice alone
    for metric in METRICS:
      assert PRICES.of(arch)[metric] <= PRICES.of(given)[metric]
  even = driver.ask_all(of, dataclasses.replace(strategy, steps=0), windows)
  learned_mean = np.mean([*answers.values()][1:])
  assert learned_mean > np.mean([*even.values()][1:])
  best = driver.best(of, answers)
  assert best is not None
  assert windows(best) >= windows(given)
  assert driver.ask_all(of, strategy, windows) == answers


def test_a_given_choice_that_is_none_is_an_error_of_one_line(tmp_path):
  path = tmp_path / "plan.json"
  for text, match in (
    (None, "search.strategy.given=.*cannot be read"),
    ("{", "cannot be read"),
    (json.dumps(PLAIN.largest.to_json()), "must be whole numbers of shape"),
  ):
    if text is not None:
      path.write_text(text)
    with pytest.raises(UserError, match=match) as caught:
      next(NatSearch(given=str(path)).search(problem()))
    assert "\n" not in str(caught.value)
  dear = dataclasses.replace(problem(), budget=price("madds")(SPACE.smallest))
  with pytest.raises(UserError, match=r"above the budget of .*share=1"):
    next(NatSearch().search(dear))


@pytest.mark.slow
def test_the_state_of_a_choice_reads_every_gene():
  own = GeneStates(SPACE, price("madds"))
  given = SPACE.largest
  state = own.state(given)
  assert state.tokens.shape[1:] == (SPACE.places, own.slots)
  random = np.random.default_rng(0)
  seen = {own.state(own.draw(random)).tokens.tobytes() for _ in range(30)}
  assert len(seen) > 20
  assert state.tokens.max() < own.tokens
  assert nat.start(TINY, own, 0).params["head"].shape[1] == own.slots * own.outputs
