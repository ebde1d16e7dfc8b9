"""A budget shared out among kernels, by what was measured and otherwise."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from neural_epitome import codec
from neural_epitome.config import Config, OptimizerOptions, TrainingOptions
from neural_epitome.cost import totals
from neural_epitome.data.options import DataOptions
from neural_epitome.epitome.generators import EpitomeRule, SharedEpitomeRule
from neural_epitome.errors import UserError
from neural_epitome.models import ResNetConfig
from neural_epitome.planning import (
  BudgetPlanner,
  ChosenPlanner,
  DensePlanner,
  Planner,
  RatePlanner,
)
from neural_epitome.search import allocation, elastic_run
from neural_epitome.spaces.rate_space import RateSpace
from neural_epitome.strategies import (
  Evolution,
  NetAdapt,
  Problem,
  RandomSearch,
  SubsetEvolution,
)
from neural_epitome.strategies.options import SearchOptions
from neural_epitome.training import setup
from tests.strategies.test_strategies import ask_all

pytestmark = pytest.mark.xdist_group("allocation")

LOSSES = "losses_32_32_1.jsonl"
CONFIG = Config(
  name="allocated",
  model=ResNetConfig(depth=8, width=0.5, stem_stride=4),
  planner=RatePlanner(rule=EpitomeRule(routing="tile")),
  data=DataOptions(batch_size=32, evaluation_batch_size=32),
  optimizer=OptimizerOptions(learning_rate=3e-3),
  training=TrainingOptions(
    epochs=0.03, reestimation_batches=0, evaluate_every=100.0, tensorboard=False
  ),
  search=SearchOptions(
    strategy=NetAdapt(layers=1, reduction=0.4), statistics_batches=1, examples=32
  ),
)


def priced(planner, config=CONFIG):
  inventory, plan = setup.plan(dataclasses.replace(config, planner=planner))
  return totals.price(plan.narrowed(planner.bits), inventory, "fold")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("allocation")
  return workdir, allocation.allocate(CONFIG, "60kB", "sensitivity", workdir)


@pytest.mark.slow
def test_what_was_measured_makes_a_plan_that_fills_the_budget(measured):
  workdir, planner = measured
  assert 0.95 * 60_000 <= priced(planner).stored_bytes <= 60_000
  assert codec.decode(Planner, codec.encode(planner)) == planner
  lines = [json.loads(x) for x in (workdir / LOSSES).read_text().splitlines()]
  assert all(np.isfinite(line["loss"]) for line in lines)
  # Rates differ from one kernel to the next, as losses do.
  assert len(set(planner.rules.weights.values())) > 1
  config = json.loads((workdir / "elastic/config.json").read_text())
  assert config["data"]["evaluation_split"] == "train[90%:]"


@pytest.mark.slow
def test_another_budget_and_a_search_ask_the_same_network(measured, capsys):
  workdir, _ = measured
  before = (workdir / "elastic/metrics.jsonl").read_bytes()
  planner = allocation.allocate(CONFIG, "15k parameters", "searched", workdir)
  assert 0.95 * 15_000 <= priced(planner).stored_params <= 15_000
  assert (workdir / "elastic/metrics.jsonl").read_bytes() == before
  evaluations = len((workdir / LOSSES).read_text().splitlines())
  again = allocation.allocate(CONFIG, "15k parameters", "searched", workdir, quiet=True)
  assert again == planner
  assert len((workdir / LOSSES).read_text().splitlines()) == evaluations


@pytest.mark.slow
def test_a_killed_one_asks_only_what_it_had_not_heard(measured, tmp_path):
  workdir, planner = measured
  shutil.copytree(workdir, tmp_path, dirs_exist_ok=True)
  log = tmp_path / LOSSES
  lines = log.read_text().splitlines(keepends=True)
  log.write_text("".join(lines[:3]) + lines[3][:20])
  assert allocation.allocate(CONFIG, "60kB", "sensitivity", tmp_path) == planner
  heard = [json.loads(line)["arch"] for line in log.read_text().splitlines()]
  assert len(heard) == len({str(arch) for arch in heard})


@pytest.mark.parametrize(
  ("budget", "unit"),
  [
    ("70kB", "stored_bytes"),
    ("15k parameters", "stored_params"),
    ("0.12M madds", "madds"),
    ("4x", "stored_params"),
  ],
)
def test_an_even_rate_needs_no_measurement(tmp_path, budget, unit):
  planner = allocation.allocate(CONFIG, budget, "uniform", tmp_path)
  [limit] = planner.budgets().values()
  assert 0.9 * limit <= getattr(priced(planner), unit) <= limit
  assert list(tmp_path.iterdir()) == []


def test_small_kernels_are_compressed_less_where_that_is_asked(tmp_path):
  rates = {}
  for method in ("uniform", "uneven"):
    planner = allocation.allocate(CONFIG, "30kB", method, tmp_path)
    inventory, plan = setup.plan(dataclasses.replace(CONFIG, planner=planner))
    uses = sorted(planner.rules.compressible(inventory), key=lambda use: use.size)
    stored = [plan.kernels[u.path].generator.stored(u.shape) for u in uses]
    rates[method] = [u.size / n for u, n in zip(uses, stored, strict=True)]
    assert 0.95 * 30_000 <= priced(planner).stored_bytes <= 30_000
  assert rates["uneven"][0] < rates["uniform"][0]
  assert rates["uneven"][-1] > rates["uniform"][-1]


def test_without_a_word_it_is_shared_out_as_the_planner_says(tmp_path):
  rules = dataclasses.replace(CONFIG.planner, allocation=0.7)
  config = dataclasses.replace(CONFIG, planner=rules)
  assert allocation.allocate(config, "60kB", None, tmp_path).rules == rules


STRATEGIES = {
  "random": RandomSearch(evaluations=30, batch=7),
  "evolution": Evolution(generations=6, population=10, parents=4),
  "netadapt": NetAdapt(layers=2, samples=8, reduction=0.1),
}


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_every_strategy_searches_rates_too(strategy):
  space = RateSpace(tuple("abcdef"), (1, 2, 3, 4, 5, 5))
  sizes = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])

  def price(rates):
    return float(np.sum(sizes / 2.0**rates.member))

  problem = Problem(space, price, 0.3 * price(space.largest))
  gains = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.1])
  choices = ask_all(strategy, problem, lambda r: -float(gains @ r.member))
  assert any(problem.fits(rates) for rates in choices)
  for rates in choices:
    assert space.from_json(rates.to_json()) == rates
  assert ask_all(strategy, problem, lambda r: -float(gains @ r.member)) == choices


@pytest.mark.parametrize("data", [{}, {"member": [0, 2]}, {"member": [0]}, [], None])
def test_a_line_of_another_architecture_is_refused(data):
  with pytest.raises(UserError, match="2 kernels"):
    RateSpace(("a", "b"), (1, 2)).from_json(data)


@pytest.mark.parametrize(
  ("changes", "budget", "words"),
  [
    ({"planner": ChosenPlanner()}, "60kB", "has none"),
    ({"planner": RatePlanner(rule=SharedEpitomeRule())}, "60kB", "no kernel a size"),
    ({"data": DataOptions(train_split="train[:500]")}, "60kB", "is a part already"),
    ({}, "3kB", "smallest allocation"),
    ({}, "60 kg", "is not understood"),
  ],
)
def test_what_cannot_be_allocated_is_refused(tmp_path, changes, budget, words):
  config = dataclasses.replace(CONFIG, **changes)
  with pytest.raises(UserError, match=words):
    allocation.allocate(config, budget, "sensitivity", tmp_path)
  assert list(tmp_path.iterdir()) == []


def test_a_strategy_that_trains_supernets_allocates_nothing(tmp_path):
  search = dataclasses.replace(CONFIG.search, strategy=SubsetEvolution())
  config = dataclasses.replace(CONFIG, search=search)
  with pytest.raises(UserError, match="kind=subset_evolution trains supernets"):
    allocation.allocate(config, "60kB", "searched", tmp_path)
  assert list(tmp_path.iterdir()) == []


def test_bytes_count_with_the_bits_of_the_planner(tmp_path):
  planner = BudgetPlanner(bytes=1, bits=8, rules=CONFIG.planner)
  config = dataclasses.replace(CONFIG, planner=planner)
  allocated = allocation.allocate(config, "20kB", "uniform", tmp_path)
  assert allocated.bits == 8
  assert 0.95 * 20_000 <= priced(allocated).stored_bytes <= 20_000


def test_the_default_planner_is_a_budget_over_its_own_rules(tmp_path):
  dense = dataclasses.replace(CONFIG, planner=DensePlanner())
  planner = allocation.allocate(dense, "60kB", "uniform", tmp_path)
  assert planner == BudgetPlanner(bytes=60_000, rules=RatePlanner())
  config = dataclasses.replace(CONFIG, planner=planner)
  assert elastic_run.rules_of(config) == RatePlanner()
