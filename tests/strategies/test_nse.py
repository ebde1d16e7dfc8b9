"""The questions that NSE asks, on a space of rates where answers cost nothing."""

import dataclasses
import json

import pytest

from neural_epitome.errors import UserError
from neural_epitome.search import driver
from neural_epitome.strategies import NSE, Problem, Round
from tests.spaces.test_multi_branch_space import SPACE as BRANCHES
from tests.spaces.test_table_space import SPACE

PROBLEM = Problem(SPACE, SPACE.price_of, 50.0)
SMALL = NSE(capacity=2, samples=6, extra=3, drift=0.3, strip=0.3)


def top1(arch):
  return SPACE.measured(arch)["top1"]


def asked(strategy, problem=PROBLEM, answer=top1, learned=None):
  """Rounds and the lists of choices of each, and the answers that count."""
  rounds, choices = [], []

  def train(told: Round):
    rounds.append(told)
    choices.append([])
    return learned

  def told(arch):
    choices[-1].append(arch)
    return answer(arch)

  return rounds, choices, driver.ask_all(problem, strategy, told, train)


def test_each_round_retains_what_the_front_uses_and_refills_from_the_unseen():
  rounds, choices, _ = asked(dataclasses.replace(SMALL, rounds=3))
  assert len(rounds) == 3
  seen = [set(own) for own in rounds[0].space.pools]
  for before, now, scored in zip(rounds, rounds[1:], choices[1:], strict=False):
    for place, (old, new, kept) in enumerate(
      zip(before.space.pools, now.space.pools, now.kept, strict=True)
    ):
      assert set(kept) <= set(old)
      joined = set(new) - set(kept)
      assert not joined & seen[place]
      seen[place] |= joined
    # What is retained is scored again.
    assert set(scored) & set(choices[rounds.index(before)])
  assert [r.coverage for r in rounds] == sorted(r.coverage for r in rounds)
  whole = sum(map(len, SPACE.pools))
  assert rounds[-1].coverage == pytest.approx(sum(map(len, seen)) / whole)


def test_the_result_is_of_the_window_and_of_the_last_front():
  low, high = SMALL.price_range(PROBLEM)
  assert (low, high) == (pytest.approx(50 * 0.7 / 1.3), 50.0)
  # Also if what lies below the window is better than all in it.
  for answer in (top1, lambda arch: -SPACE.price_of(arch)):
    _, choices, answers = asked(SMALL, answer=answer)
    assert answers
    assert set(answers) <= set(choices[-1])
    assert all(low < SPACE.price_of(arch) <= high for arch in answers)


def test_choices_are_drawn_from_what_was_learned():
  class Constant:
    def sample(self, seed, *stream, count):
      return [SPACE.table.choices[stream[-1] % 7]] * count

  _, choices, _ = asked(SMALL, learned=Constant())
  drawn = {arch for of_round in choices for arch in of_round}
  assert drawn <= {SPACE.canonical(SPACE.table.choices[k]) for k in range(7)} | {
    arch for arch in drawn if SPACE.price_of(arch) <= 50
  }


def test_without_retaining_every_round_has_other_options():
  rounds, _, answers = asked(dataclasses.replace(SMALL, retains=False, rounds=2))
  needed = [tuple(own) for own in SPACE.needed]
  assert all(list(told.kept) == needed for told in rounds)
  for old, new, pool in zip(
    rounds[0].space.pools, rounds[1].space.pools, SPACE.pools, strict=True
  ):
    assert len(set(old) & set(new)) == 1
    assert len(set(new)) == 2 or len(pool) < 3
  assert answers


def test_it_begins_with_what_another_search_found(tmp_path):
  front = [SPACE.used(SPACE.largest)]
  file = tmp_path / "found.json"
  file.write_text(json.dumps({"front": front}))
  expected = [
    set(own) | set(must) for own, must in zip(front[0], SPACE.needed, strict=True)
  ]
  rounds, _, _ = asked(dataclasses.replace(SMALL, start=str(file)))
  assert list(map(set, rounds[0].kept)) == expected
  file.write_text(json.dumps({"front": [front[0][:1]]}))
  with pytest.raises(UserError, match="is of 1 cells"):
    asked(dataclasses.replace(SMALL, start=str(file)))
  file.write_text("{}")
  with pytest.raises(UserError, match="has no front of a search"):
    asked(dataclasses.replace(SMALL, start=str(file)))


def test_a_cell_of_branches_is_one_pool():
  problem = Problem(BRANCHES, lambda a: BRANCHES.price(a, 3, 5)["madds"], 0.0)
  budget = 0.12 * problem.price(BRANCHES.largest)
  problem = dataclasses.replace(problem, budget=budget)
  rounds, choices, _ = asked(
    dataclasses.replace(SMALL, rounds=2),
    problem,
    lambda arch: float(arch.gates.sum()),
  )
  assert rounds
  for told, scored in zip(rounds, choices, strict=True):
    assert all(told.space.canonical(arch) == arch for arch in scored)
    assert all(len(own) <= 10 for own in told.space.pools)


def test_a_budget_of_nothing_is_no_error_of_a_display():
  answers = driver.ask_all(
    Problem(SPACE, lambda arch: 0.0, 0.0),
    NSE(capacity=2, samples=2, extra=0),
    top1,
    lambda r: None,
  )
  assert answers
