"""ESNAC asks within the budget, learns from answers, and optimises what it is told."""

import dataclasses

import numpy as np
import pytest

from neural_epitome.search import driver
from neural_epitome.strategies import Esnac, RandomSearch, esnac
from tests.strategies.made_up import JUDGE, SPACE

FEW = Esnac(evaluations=52, kernels=4, subset=32, steps=15, hidden=8, features=8)
# Its functions compile for seconds.
pytestmark = pytest.mark.xdist_group("esnac")


def test_the_papers_objective_pays_for_what_is_saved():
  assert esnac.compressed(1.0) == 0.0
  assert esnac.compressed(0.0) == 1.0
  # Saving half of the teacher is worth three quarters of saving everything.
  assert esnac.compressed(0.5) == 0.75
  assert np.all(np.diff(esnac.compressed(np.linspace(0.0, 1.0, 20))) < 0)


@pytest.mark.slow
def test_it_ends_nearer_to_the_best_than_random_search_within_the_budget():
  random, regrets = RandomSearch(evaluations=FEW.evaluations), []
  for seed in range(2):
    traces = [JUDGE.ask(one, seed) for one in (FEW, random)]
    regrets.append([trace.regret("top1", FEW.evaluations)[-1] for trace in traces])
    asked = traces[0].asked
    assert len(set(asked)) == len(asked) == FEW.evaluations
    assert all(SPACE.price_of(arch) <= JUDGE.budget for arch in asked)
    # A search that was stopped asks the same again.
    assert seed or JUDGE.ask(FEW, seed).asked == asked
  ours, theirs = np.mean(regrets, axis=0)
  assert ours < theirs


@pytest.mark.slow
def test_other_answers_lead_to_other_questions():
  def asked(sign):
    questions = FEW.search(JUDGE.problem(0))
    first = next(questions)
    return first, questions.send([sign * JUDGE.of(arch)["top1"] for arch in first])

  ours, theirs = asked(1.0), asked(-1.0)
  assert ours[0] == theirs[0]
  assert ours[1] != theirs[1]


@pytest.mark.slow
def test_by_the_papers_objective_the_result_is_what_it_is_highest_of():
  strategy = dataclasses.replace(FEW, objective="compression")
  asked = []

  def accuracy(arch):
    asked.append(arch)
    return 30.0 + JUDGE.of(arch)["top1"]

  def objective(arch):
    price = SPACE.price_of(arch) / SPACE.price_of(SPACE.largest)
    return (30.0 + JUDGE.of(arch)["top1"]) * esnac.compressed(price)

  [found] = driver.ask_all(JUDGE.problem(0), strategy, accuracy, quiet=True)
  assert objective(found) == max(map(objective, asked))
