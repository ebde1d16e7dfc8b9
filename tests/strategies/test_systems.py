"""The strategies of published systems: what each one's paper says that it does."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from neural_epitome.errors import UserError
from neural_epitome.spaces.genes import Genes
from neural_epitome.strategies import (
  Amc,
  Bayesian,
  DistributionPruning,
  Esnac,
  Flash,
  FpNas,
  Genetic,
  Hurricane,
  MnasNet,
  Progressive,
  RandomSearch,
  acquisition,
  genetic,
  mnasnet,
)
from neural_epitome.strategies.ddpg import Ddpg
from neural_epitome.strategies.policies import Categorical, policy_gradient
from tests.strategies.made_up import JUDGE, SPACE

STRATEGIES = [
  Amc(evaluations=120, agent=Ddpg(hidden=32, actor_rate=1e-3)),
  Bayesian(evaluations=60),
  DistributionPruning(),
  Flash(evaluations=60),
  FpNas(),
  Genetic(),
  Hurricane(),
  MnasNet(),
  Progressive(),
]


def batches(strategy, answer=lambda arch: JUDGE.of(arch)["top1"], seed=0):
  """All that it asks for, batch by batch."""
  asked, questions = [], strategy.search(JUDGE.problem(seed))
  try:
    archs = next(questions)
    while True:
      asked.append(archs)
      archs = questions.send([answer(arch) for arch in archs])
  except StopIteration:
    return asked


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.kind)
def test_it_ends_nearer_to_the_best_than_random_search(strategy):
  """As many questions, all of them different."""
  regrets = []
  for seed in range(3):
    asked = JUDGE.ask(strategy, seed).asked
    assert len(set(asked)) == len(asked)
    assert len(asked) <= 1.2 * strategy.expected(JUDGE.problem(seed)) + 2
    random = RandomSearch(evaluations=len(asked))
    regrets.append(
      [
        JUDGE.ask(one, seed).regret("top1", len(asked))[-1]
        for one in (strategy, random)
      ]
    )
  ours, theirs = np.mean(regrets, axis=0)
  assert ours < theirs


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.kind)
def test_all_but_mnasnet_ask_within_the_budget(strategy):
  prices = [SPACE.price_of(arch) for arch in JUDGE.ask(strategy, 0).asked]
  assert (max(prices) > JUDGE.budget) == (strategy.kind == "mnasnet")


@pytest.mark.parametrize(
  ("strategy", "named"),
  [
    (Amc(evaluations=0), "evaluations=0"),
    (Bayesian(first=0), "first=0"),
    (DistributionPruning(samples=0), "samples=0"),
    (Esnac(steps=0, rate=0.0), "steps=0, rate=0.0 above 0"),
    (Flash(climbs=0), "climbs=0"),
    (Flash(held=0.0), "held=0.0"),
    (FpNas(least=0), "least=0"),
    (Genetic(tournament=0), "tournament=0"),
    (Hurricane(parts=0), "parts=0"),
    (MnasNet(batch=0), "batch=0"),
    (MnasNet(above=0.5), "above=0.5"),
    (Progressive(beam=0), "beam=0"),
  ],
)
def test_options_of_no_search_are_refused_by_name(strategy, named):
  with pytest.raises(UserError, match=named):
    strategy.check()


def test_mnasnets_soft_power_trades_twice_the_latency_for_five_percent():
  """Section 3.1 of the paper: so much more accuracy is what it expects of it."""
  slow = mnasnet.reward(1.05 * 0.7, 200.0, 100.0, -0.07, -0.07)
  assert slow == pytest.approx(
    mnasnet.reward(0.7, 100.0, 100.0, -0.07, -0.07), rel=2e-3
  )


def test_mnasnets_hard_power_does_not_pay_for_being_cheap():
  assert mnasnet.reward(0.7, 50.0, 100.0, 0.0, -1.0) == 0.7
  assert mnasnet.reward(0.7, 200.0, 100.0, 0.0, -1.0) == pytest.approx(0.35)
  assert np.isfinite(mnasnet.reward(0.7, 0.0, 100.0, -0.07, -0.07))


def test_fp_nas_asks_less_the_surer_it_is():
  strategy, policy = FpNas(), Categorical()
  even = policy_gradient.start(policy, strategy.learning, Genes(SPACE).counts)
  sure = policy_gradient.State(
    {"logits": 9.0 * jnp.eye(4)[jnp.array([2, 2, 2, 2, 1])]},
    None,
    even.mean,
    even.deviation,
    even.step,
  )
  assert strategy._samples(even) > strategy._samples(sure) == strategy.least


def test_ddpnas_prunes_options_stage_by_stage():
  stages = batches(DistributionPruning(samples=20, sharpness=0.5))
  genes = Genes(SPACE)
  left = [
    [len(set(column)) for column in np.stack([*map(genes.options, archs)]).T]
    for archs in stages
  ]
  assert left[0] == [4] * 5
  assert sum(left[-1]) < sum(left[0])


def test_hurricane_leaves_early_genes_alone_until_the_late_ones_are_found():
  strategy = Hurricane(generations=2, population=8)
  # Options are dear at random here, so that no choice has to be made cheaper.
  asked = batches(strategy)
  free = Genes(SPACE)
  first = np.stack([*map(free.options, itertools.chain(*asked[:2]))])
  # Of ten genes' prices, only making cheaper may change the first half.
  assert len(set(map(tuple, first[:, 3:]))) > len(set(map(tuple, first[:, :3])))


@pytest.mark.parametrize("counts", [(4, 2, 1, 8), (3, 5, 7)])
def test_a_choice_survives_its_string_of_bits(counts):
  for options in itertools.product(*map(range, counts)):
    chosen = np.array(options)
    string = genetic.bits(chosen, counts)
    np.testing.assert_array_equal(genetic.options(string, counts), chosen)


def test_every_string_of_bits_is_a_choice():
  counts = (3, 5, 7)
  for string in itertools.product((False, True), repeat=8):
    options = genetic.options(np.array(string), counts)
    assert np.all(options < counts)


def test_pnas_grows_one_gene_a_level():
  genes = Genes(SPACE)
  base = genes.options(SPACE.smallest)
  for level, archs in enumerate(batches(Progressive(beam=8))):
    for arch in archs:
      assert np.all(genes.options(arch)[level + 1 :] == base[level + 1 :])
    assert len(archs) <= 8


def test_expected_improvement_is_the_mean_of_what_is_gained():
  draws = np.random.default_rng(0).normal(0.3, 0.2, 200_000)
  exact = acquisition.expected_improvement(np.array([0.3]), np.array([0.2]), 0.4)
  assert exact[0] == pytest.approx(np.mean(np.maximum(draws - 0.4, 0)), rel=0.02)
