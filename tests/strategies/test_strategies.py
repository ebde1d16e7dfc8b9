"""Strategies ask for choices of the space, within reason, and find what there is."""

import dataclasses

import numpy as np
import pytest

from neural_epitome import codec
from neural_epitome.errors import UserError
from neural_epitome.spaces.cost_model import Prices
from neural_epitome.strategies import (
  Amc,
  Bayesian,
  DistributionPruning,
  Evolution,
  Flash,
  FpNas,
  Genetic,
  Hurricane,
  MnasNet,
  NetAdapt,
  Problem,
  Progressive,
  RandomSearch,
  Reinforce,
  Round,
  Strategy,
  SubsetEvolution,
)
from neural_epitome.strategies.ddpg import Ddpg
from tests.spaces.tiny import SPACE

PRICES = Prices(SPACE, classes=3, channels=1)
STRATEGIES = {
  "random": RandomSearch(evaluations=30, batch=7),
  "evolution": Evolution(generations=12, population=12, parents=4),
  "netadapt": NetAdapt(layers=2, samples=8, reduction=0.1),
  "single": NetAdapt(layers=1, reduction=0.1),
  "reinforce": Reinforce(evaluations=24, batch=6),
  "amc": Amc(evaluations=16, warmup=8, agent=Ddpg(hidden=16)),
  "bayesian": Bayesian(evaluations=24, first=8, batch=4, candidates=16, parents=4),
  "ddpnas": DistributionPruning(samples=6),
  "flash": Flash(evaluations=24, first=10, batch=7),
  "fp_nas": FpNas(evaluations=24, samples_per_nat=0.5),
  "genetic": Genetic(generations=4, population=6),
  "hurricane": Hurricane(generations=2, population=6, parents=3),
  "mnasnet": MnasNet(evaluations=24, batch=6, below=-0.07, above=-0.07),
  "progressive": Progressive(beam=4),
  "subsets": SubsetEvolution(rounds=4, options=2, samples=12),
}


def problem(metric="madds", share=0.5, seed=0):
  def price(arch):
    return PRICES.of(arch)[metric]

  return Problem(SPACE, price, share * price(SPACE.largest), seed)


def accuracy(arch):
  """Made up: wide late blocks and large windows are worth much, early ones little."""
  worth = np.array([0.1, 0.2, 1.0, 2.0])
  width = np.array([position.largest for position in SPACE.positions])
  return float(worth @ np.sqrt(arch.width / width) + 0.1 * worth @ (arch.window == 5))


def test_every_strategy_is_tried_here_or_in_a_file_of_its_own():
  tried = {strategy.kind for strategy in STRATEGIES.values()}
  assert tried == Strategy.arms().keys() - {"esnac", "given", "nat", "nse"}


def ask_all(strategy, of, answer=accuracy):
  archs, questions = [], strategy.search(of)
  try:
    batch = next(questions)
    while True:
      if isinstance(batch, Round):
        batch = questions.send([])
        continue
      archs += batch
      batch = questions.send([answer(arch) for arch in batch])
  except StopIteration:
    return archs


def best(archs, of):
  return max((accuracy(arch) for arch in archs if of.fits(arch)), default=0.0)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
@pytest.mark.parametrize("metric", ["madds", "bytes"])
def test_the_answer_fits_the_budget_and_the_same_is_asked_again(strategy, metric):
  of = problem(metric)
  archs = ask_all(strategy, of)
  assert any(of.fits(arch) for arch in archs)
  for arch in archs:
    assert SPACE.from_json(arch.to_json()) == arch
  assert ask_all(strategy, of) == archs
  assert len(archs) <= 2 * strategy.expected(of) + 12


@pytest.mark.parametrize("kind", sorted(Strategy.arms()))
def test_every_strategy_survives_json(kind):
  strategy = Strategy.arms()[kind]()
  assert codec.decode(Strategy, codec.encode(strategy)) == strategy


@pytest.mark.slow
def test_random_search_asks_for_different_choices_within_the_budget():
  of = problem()
  archs = ask_all(STRATEGIES["random"], of)
  assert len(set(archs)) == len(archs) == 30
  assert all(of.fits(arch) for arch in archs)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["evolution", "netadapt"])
def test_it_finds_more_than_random_search_does_with_as_many_questions(name):
  ahead = []
  for seed in range(3):
    of = problem(seed=seed)
    archs = ask_all(STRATEGIES[name], of)
    random = dataclasses.replace(STRATEGIES["random"], evaluations=len(archs))
    ahead.append(best(archs, of) - best(ask_all(random, of), of))
  assert np.mean(ahead) > 0, ahead


def test_coordinate_descent_keeps_what_loses_least_for_what_it_saves():
  of = problem()
  strategy = STRATEGIES["netadapt"]
  questions = strategy.search(of)
  [arch] = next(questions)
  assert arch == SPACE.largest
  before, price = accuracy(arch), of.price(arch)
  batch = questions.send([before])
  while True:
    targets = [of.price(candidate) for candidate in batch]
    assert max(targets) < price
    answers = [accuracy(candidate) for candidate in batch]
    ratio = [
      (before - answer + 1e-6) / (price - target + 1e-5 * of.price(SPACE.largest))
      for answer, target in zip(answers, targets, strict=True)
    ]
    kept = int(np.argmin(ratio))
    chosen, before, price = batch[kept], answers[kept], targets[kept]
    try:
      batch = questions.send(answers)
    except StopIteration:
      break
    # Candidates differ from what was kept in two places at most.
    for candidate in batch:
      differs = (candidate.rate != chosen.rate).any(1)
      differs[:-1] |= candidate.width != chosen.width
      differs[:-1] |= candidate.window != chosen.window
      assert differs.sum() <= 2
  assert price <= of.budget


def test_a_price_that_rises_on_the_way_down_is_passed():
  """As times do: here every other width of a block is dearer than the next wider."""

  def price(arch):
    uneven = np.where(arch.width // 8 % 2, arch.width + 12, arch.width)
    return float(np.sum(uneven))

  budget = 0.3 * price(SPACE.largest)
  of = Problem(SPACE, price, budget, 0)
  shrunk = of.shrunk(SPACE.largest, np.random.default_rng(0), budget)
  assert shrunk is not None
  assert price(shrunk) <= budget
  archs = ask_all(STRATEGIES["netadapt"], of)
  assert any(of.fits(arch) for arch in archs)


def test_single_layer_descent_tries_each_block_once():
  of = problem(share=0.8)
  questions = STRATEGIES["single"].search(of)
  next(questions)
  batch = questions.send([accuracy(SPACE.largest)])
  changed = [
    int(np.flatnonzero(arch.width != SPACE.largest.width)[0])
    for arch in batch
    if np.any(arch.width != SPACE.largest.width)
  ]
  assert len(changed) == len(set(changed))
  assert len(batch) <= SPACE.places == len(SPACE.positions) + 1


def rounds(strategy, of):
  """Of each round its part of the space, what it asked and what was answered."""
  rounds, questions = [], strategy.search(of)
  try:
    question = next(questions)
    while True:
      assert isinstance(question, Round)
      question.space.check()
      batch = questions.send([])
      rounds.append((question.space, batch, [accuracy(arch) for arch in batch]))
      question = questions.send(rounds[-1][-1])
  except StopIteration:
    return rounds


def flat(space):
  return [set(gene) for genes in space.choices.values() for gene in genes]


def genes(arch):
  return [number for field in arch.key for number in field]


@pytest.mark.slow
def test_each_round_trains_what_the_best_of_the_round_before_use_and_more():
  of = problem()
  history = rounds(STRATEGIES["subsets"], of)
  assert len(history) == 4
  cheapest, seen = genes(SPACE.smallest), [set() for _ in flat(SPACE)]
  for number, (part, archs, answers) in enumerate(history):
    options = flat(part)
    for gene, least, every in zip(options, cheapest, flat(SPACE), strict=True):
      assert least in gene
      assert gene <= every
    for arch in archs:
      assert of.fits(arch)
      assert all(n in gene for n, gene in zip(genes(arch), options, strict=True))
    if number + 1 < len(history):
      after, archs_after, _ = history[number + 1]
      best = archs[int(np.argmax(answers))]
      assert best in archs_after
      assert after != part
    # What was passed over does not come back.
    before = flat(history[number - 1][0]) if number else [set()] * len(options)
    for gene, known, last in zip(options, seen, before, strict=True):
      assert not (gene - last) & known
      known |= gene


@pytest.mark.slow
def test_rounds_end_where_every_option_has_been_seen():
  strategy = SubsetEvolution(rounds=50, options=4, samples=6)
  history = rounds(strategy, problem())
  assert 2 < len(history) < 10
  seen = [set() for _ in flat(SPACE)]
  for part, _, _ in history:
    for gene, known in zip(flat(part), seen, strict=True):
      known |= gene
  assert seen == flat(SPACE)


def test_iterations_that_end_above_the_budget_are_told():
  strategy = dataclasses.replace(STRATEGIES["netadapt"], iterations=1)
  with pytest.raises(UserError, match=r"search\.strategy\.iterations=1 end at"):
    ask_all(strategy, problem())


@pytest.mark.parametrize(
  ("strategy", "words"),
  [
    (NetAdapt(layers=0), "layers=0"),
    (NetAdapt(reduction=1.0), "reduction=1.0 between"),
    (SubsetEvolution(options=1), "options=1 above 1"),
    (Evolution(parents=0), "parents=0 above 0"),
    (RandomSearch(batch=0), "batch=0 above 0"),
    (Reinforce(evaluations=0), "evaluations=0 and"),
  ],
)
def test_options_that_cannot_be_are_named(strategy, words):
  with pytest.raises(UserError, match=words):
    strategy.check()


@pytest.mark.slow
def test_rounds_end_where_nothing_fits():
  nothing = dataclasses.replace(problem(), budget=0.0)
  assert ask_all(SubsetEvolution(samples=1), nothing) == []


def test_what_cannot_become_so_cheap_is_none():
  of = problem()
  random = np.random.default_rng(0)
  assert of.shrunk(SPACE.largest, random, 0.0) is None
  shares = np.array([1.0, 0.0, 0.0, 0.0])
  assert of.shrunk(SPACE.largest, random, 0.1 * of.budget, shares) is None
  target = of.price(SPACE.smallest)
  assert of.price(of.shrunk(SPACE.largest, random, target)) == target
