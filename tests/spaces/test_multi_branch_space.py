"""Gates of every operation of every cell: what is a choice, and what it costs."""

import dataclasses

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from neural_epitome import models
from neural_epitome.cost import inventory
from neural_epitome.errors import UserError
from neural_epitome.models import nse_networks
from neural_epitome.models.multi_branch import MultiBranchConfig, Stage
from neural_epitome.spaces import MultiBranchSupernetConfig
from neural_epitome.spaces.multi_branch_space import MultiBranchSpace
from neural_epitome.strategies import Problem, RandomSearch, Reinforce
from neural_epitome.strategies.policies import Gates

FRAME = MultiBranchConfig(
  pool="gpu", stem=8, stages=(Stage(16, 2, 1), Stage(24, 2, 0)), head=16
)
SPACE = MultiBranchSpace(FRAME, image_size=30)
SEEDS = st.integers(0, 2**31)


def drawn(seed, space=SPACE):
  [arch] = space.sample(seed, count=1)
  return arch


def madds(arch):
  return SPACE.price(arch, 3, 5)["madds"]


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["gpu", "grouped"])
def test_a_choice_costs_what_its_network_does(pool):
  space = dataclasses.replace(SPACE, frame=dataclasses.replace(FRAME, pool=pool))
  random = np.random.default_rng(0)
  # Tracing many branches takes long.
  some = [random.choice(space.usable.shape[1], 3, replace=False) for _ in range(4)]
  few = dataclasses.replace(space, only=tuple(map(tuple, np.array(some).tolist())))
  for arch in (few.largest, space.smallest):
    network = models.create(space.network(arch), 5)
    taken = inventory.take(network, (30, 30, 3))
    assert space.price(arch, 3, 5) == {
      "madds": sum(use.madds for use in taken.kernels),
      "parameters": taken.size,
    }


@pytest.mark.parametrize(
  ("network", "millions"),
  [
    (nse_networks.NSENET27, 326.3),
    (nse_networks.NSENET, 331.0),
    (nse_networks.NSENET_GPU, 1471.1),
  ],
)
def test_published_networks_are_choices_of_the_published_price(network, millions):
  space = MultiBranchSpace(network)
  arch = space.arch(network)
  written = [tuple(sorted(cell)) for cell in network.cells]
  assert [*space.network(arch).cells] == written
  assert space.from_json(arch.to_json()) == arch
  assert round(space.price(arch, 3, 1000)["madds"] / 1e6, 1) == millions


@hypothesis.given(SEEDS)
def test_choices_are_drawn_as_they_may_be_and_survive_json(seed):
  arch = drawn(seed)
  assert not np.any(arch.gates[~SPACE.usable])
  assert np.all(arch.gates[~SPACE.may_be_empty].any(axis=1))
  assert SPACE.from_json(arch.to_json()) == arch == SPACE.canonical(arch)


@hypothesis.given(SEEDS, st.integers(0, 3))
def test_a_smaller_choice_is_cheaper_in_one_cell(seed, cell):
  arch = drawn(seed)
  for other in SPACE.smaller(arch, cell):
    assert madds(other) < madds(arch)
    changed = np.flatnonzero(np.any(other.gates != arch.gates, axis=1))
    assert changed.tolist() == [cell]
    assert SPACE.canonical(other) == other


@hypothesis.given(SEEDS)
def test_any_choice_can_become_the_smallest(seed):
  problem = Problem(SPACE, madds, madds(SPACE.smallest), 0)
  shrunk = problem.shrunk(drawn(seed), np.random.default_rng(seed), problem.budget)
  assert shrunk == SPACE.smallest
  assert madds(SPACE.largest) >= madds(drawn(seed)) >= madds(SPACE.smallest)


def test_a_cell_without_an_operation_that_it_needs_gets_the_cheapest():
  gates = np.zeros_like(SPACE.largest.gates)
  arch = SPACE.canonical(dataclasses.replace(SPACE.largest, gates=gates))
  assert arch == SPACE.smallest
  assert arch.gates.any(axis=1).tolist() == (~SPACE.may_be_empty).tolist()


def test_a_part_has_its_operations_alone():
  part = dataclasses.replace(SPACE, only=((0, 1), (2,), (), (3, 4)))
  assert SPACE.part(part.choices) == part
  part.check()
  for arch in part.sample(0, count=20):
    assert not np.any(arch.gates[~part.usable])
  with pytest.raises(UserError, match="Cell 1 changes width or size, and no operation"):
    dataclasses.replace(SPACE, only=((0,), (), (), (3,))).check()


def test_groups_that_do_not_divide_a_cell_are_no_choice():
  frame = dataclasses.replace(FRAME, pool="grouped", stem=9)
  usable = MultiBranchSpace(frame).usable
  assert usable[0, :27].all()
  assert not usable[0, 27:].any()
  assert usable[2].all()


@pytest.mark.slow
@pytest.mark.parametrize(
  "strategy", [RandomSearch(evaluations=20), Reinforce(20, policy=Gates())]
)
def test_strategies_search_it_as_any_other_space(strategy):
  problem = Problem(SPACE, madds, 0.4 * madds(SPACE.largest), 0)
  questions, asked = strategy.search(problem), []
  answers = None
  while len(asked) < 20:
    batch = questions.send(answers)
    answers = [float(arch.gates.sum()) for arch in batch]
    asked += batch
  assert all(problem.fits(arch) and SPACE.canonical(arch) == arch for arch in asked)


@pytest.mark.parametrize(
  ("data", "words"),
  [
    ({}, "4 rows of 19 numbers"),
    ({"gates": [[2] * 19] * 4}, "numbers 0 or 1"),
    ({"gates": [[0] * 19] * 4}, "lacks one"),
  ],
)
def test_what_is_no_choice_is_told(data, words):
  with pytest.raises(UserError, match=words):
    SPACE.from_json(data)


@pytest.mark.parametrize(
  ("only", "words"),
  [
    (((0,),), r"model\.space\.only has 1 cells, and the frame has 4"),
    (((0,), (1,), (2,), (19,)), r"model\.space\.only\[3\]=\[19\] must be .* 0 to 18"),
  ],
)
def test_operations_of_other_cells_or_pools_are_told(only, words):
  space = dataclasses.replace(SPACE, only=only)
  with pytest.raises(UserError, match=words):
    models.create(MultiBranchSupernetConfig(space), 5)


def test_pools_are_operations_by_cell_and_a_part_has_fewer():
  arch = SPACE.sample(0, count=1)[0]
  used = SPACE.used(arch)
  part = SPACE.restricted(used)
  assert part.pools == [sorted(own) for own in used]
  assert part.used(part.largest) == part.pools
  assert part.largest == arch


def test_choices_are_drawn_as_often_as_a_policy_says():
  probability = np.where(SPACE.usable, 0.25, 0.0)
  probability[0] = 0.0
  drawn = SPACE.drawn(probability, 3, count=300)
  gates = np.stack([arch.gates for arch in drawn])
  assert all(SPACE.canonical(arch) == arch for arch in drawn[:20])
  assert not gates[:, 0].any() or not SPACE.may_be_empty[0]
  free = SPACE.usable & SPACE.may_be_empty[:, None]
  free[0] = False
  np.testing.assert_allclose(gates.mean(axis=0)[free], 0.25, atol=0.12)
