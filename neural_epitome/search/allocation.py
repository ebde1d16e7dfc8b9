"""How a budget is shared out among the kernels of an architecture.

Two measure nothing:

uniform       all kernels at one rate
uneven        a kernel of n weights stores in proportion to n**0.5: small ones are
              compressed less

The others train the architecture once with kernels that are read at all rates
(`spaces.elastic_generator`), and ask that network, on training images that were held
out, what rates cost:

sensitivity   of each kernel alone, the others at the uniform allocation's rates; the
              losses are added up and a Lagrangian multiplier chooses
searched      of whole allocations, by a search strategy

DIR/elastic/        the run that trains it, resumable, the same for every budget
DIR/losses_*.jsonl  what was asked of it
"""

import dataclasses
import glob
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from flax import traverse_util

from neural_epitome.config import Config
from neural_epitome.cost import totals
from neural_epitome.cost.inventory import Inventory
from neural_epitome.data.options import Data
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import GeneratorSpec
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.errors import UserError
from neural_epitome.planning import (
  BudgetPlanner,
  DensePlanner,
  RatePlanner,
  lagrangian,
)
from neural_epitome.planning import budget as budgets
from neural_epitome.runs.progress import bar
from neural_epitome.search import driver
from neural_epitome.search.evaluator import Answers
from neural_epitome.spaces import ElasticPlanner, SupernetConfig
from neural_epitome.spaces.rate_space import Rates, RateSpace
from neural_epitome.strategies import Problem
from neural_epitome.strategies.options import SearchOptions
from neural_epitome.training import loading, loop, setup

Method = Literal["uniform", "uneven", "sensitivity", "searched"]
_SHARES = {"uniform": 1.0, "uneven": 0.5}
# Of the training images, where a split can be cut.
HELD_OUT = 10
# Stands for a loss that is not finite, in nats.
_DIVERGED = 1e3


def allocate(
  config: Config,
  budget: str,
  method: Method | None,
  workdir: Path,
  *,
  quiet: bool = False,
) -> BudgetPlanner:
  """A planner that meets a budget.

  Args:
    config: the experiment; its planner says which kernels are compressed and how, and
      its `search`, if any, the strategy and how many examples are looked at.
    budget: see `planning.budget.planner`; multiply-adds are of the folded network, and
      bytes count with the bits of the experiment's planner, or its own.
    method: see the module; None shares out as the experiment's planner says.
    workdir: see the module.
    quiet: shows nothing.

  Returns:
    A planner of shares, scaled until the network fits the budget; where something was
    measured they are `rules.weights`.

  Raises:
    UserError: if the budget cannot be met, the model is a supernet, the planner names
      no rules, or (where something is measured) the rule's sizes cannot be chosen
      kernel by kernel, the training split cannot be divided, the strategy trains
      supernets of its own, or `workdir` holds another network.
  """
  if isinstance(config.model, SupernetConfig):
    raise UserError(
      f"Experiment {config.name} searches networks: --budget is for one network, and "
      "config.search.budget for a search."
    )
  inventory = setup.plan(dataclasses.replace(config, planner=DensePlanner()))[0]
  rules = rules_of(config)
  if method is not None:
    shares = _SHARES.get(method, 1.0)
    rules = dataclasses.replace(rules, allocation=shares, weights={})
  bits = getattr(config.planner, "bits", config.bits)
  planner = budgets.absolute(budget, rules, inventory, bits)
  planner.plan(inventory)
  if method is None or method in _SHARES:
    return planner
  question = _Question(config, planner, inventory)
  chosen = getattr(question, method)(workdir, quiet)
  return question.planner(chosen)


def rules_of(config: Config) -> RatePlanner:
  """Which kernels an experiment compresses, and how.

  Raises:
    UserError: if its planner names every kernel's generator.
  """
  planner = config.planner
  if isinstance(planner, DensePlanner):
    return RatePlanner()
  rules = getattr(planner, "rules", planner)
  if not isinstance(rules, RatePlanner):
    raise UserError(
      f"--budget needs rules, and config.planner.kind={planner.kind} has none; set "
      """--config.planner='{"kind": "uniform"}'."""
    )
  return rules


def elastic_config(config: Config) -> Config:
  """The run that trains an experiment's kernels to be read at all rates.

  It is the same for every budget and allocation, and for every number of bits: rounded
  before they are averaged, weights would be finer at high rates than they will be.
  """
  rules = dataclasses.replace(
    rules_of(config), rate=RatePlanner().rate, allocation=1.0, weights={}
  )
  return dataclasses.replace(
    config,
    name=f"{config.name}_elastic",
    planner=ElasticPlanner(rules),
    bits=32,
    indices=IndexOptions(source="drawn", start="zero"),
    execution="materialise",
    data=with_held_out(config.data),
    training=dataclasses.replace(config.training, frozen_fraction=0.0),
    search=None,
  )


def with_held_out(data: Data) -> Data:
  """Data options whose evaluation split is a part of the training split.

  Raises:
    UserError: if the split is itself a part.
  """
  train = data.train_split
  if "[" in train:
    raise UserError(
      f"config.data.train_split={train!r} is a part already, of which nothing can be "
      "held out to compare allocations on; set a whole split."
    )
  rest, plus, last = train.rpartition("+")
  if not plus:
    rest, last = f"{train}[:{100 - HELD_OUT}%]", f"{train}[{100 - HELD_OUT}%:]"
  return dataclasses.replace(data, train_split=rest, evaluation_split=last)


class _Question:
  """One architecture, its rules and a budget."""

  def __init__(self, config: Config, uniform: BudgetPlanner, inventory: Inventory):
    self._config, self._uniform, self._inventory = config, uniform, inventory
    self._options = config.search or SearchOptions()
    self._members = ElasticPlanner(uniform.rules).members(inventory)
    self._space = RateSpace(
      tuple(self._members), tuple(len(found) for found in self._members.values())
    )
    [(self._metric, self._budget)] = uniform.budgets().items()
    self._dense = self._price({})
    self._more = [
      [self._price({path: member}) - self._dense for member in found]
      for path, found in self._members.items()
    ]
    smallest = self._total(self._space.smallest)
    if smallest > self._budget:
      raise UserError(
        f"--budget is {self._budget:,} {self._metric}, below the smallest allocation, "
        f"which has {smallest:,.0f}: raise it, or leave --allocation=METHOD out."
      )

  def _price(self, generators: Mapping[str, GeneratorSpec]) -> float:
    plan = plans.make(self._inventory.kernels, generators)
    stored = plan.narrowed(self._uniform.bits)
    totals_ = totals.price(stored, self._inventory, "fold")
    return budgets.in_units(totals_)[self._metric]

  def _total(self, rates: Rates) -> float:
    pairs = zip(self._more, rates.member, strict=True)
    return self._dense + sum(row[k] for row, k in pairs)

  def planner(self, rates: Rates) -> BudgetPlanner:
    """Kernels' sizes in proportion to those of a choice, to fill the budget."""
    uses = {use.path: use for use in self._inventory.kernels}
    weights = {}
    for (path, found), k in zip(self._members.items(), rates.member, strict=True):
      use = uses[path]
      weights[glob.escape(path)] = round(found[k].stored(use.shape) / use.size, 5)
    rules = dataclasses.replace(self._uniform.rules, weights=weights)
    return dataclasses.replace(self._uniform, rules=rules)

  def sensitivity(self, workdir: Path, quiet: bool) -> Rates:
    """One kernel after the other, and a multiplier."""
    loss = self._losses(workdir, quiet)
    start = self._nearest_uniform()
    asked = sum(self._space.counts)
    table = []
    with bar(asked, "evaluations", quiet) as shown:
      for index, count in enumerate(self._space.counts):
        row = []
        for k in range(count):
          member = start.member.copy()
          member[index] = k
          row.append(loss(self._space.of(member)))
          shown.update()
        # What is read in fewer numbers does no better but by chance.
        table.append(np.maximum.accumulate(row).tolist())
    chosen = lagrangian.choose(table, self._more, self._budget - self._dense)
    assert chosen is not None, "the budget is above the smallest choice"
    return self._space.of(chosen)

  def searched(self, workdir: Path, quiet: bool) -> Rates:
    """As the strategy of the experiment's search options finds it."""
    strategy = self._options.strategy
    if strategy.trains:
      raise UserError(
        f"config.search.strategy.kind={strategy.kind} trains supernets as it goes, and "
        "an allocation has one network for all; set another one, such as evolution."
      )
    strategy.check()
    loss = self._losses(workdir, quiet)
    problem = Problem(self._space, self._total, self._budget, self._options.seed)
    found = driver.ask_all(problem, strategy, lambda a: -loss(a), quiet=quiet)
    best = driver.best(problem, found)
    if best is None:
      raise UserError(
        f"No allocation that config.search.strategy={strategy.kind} asked for is "
        f"within the budget of {self._budget:,} {self._metric}."
      )
    return best

  def _nearest_uniform(self) -> Rates:
    """The choice of rates nearest to the uniform allocation's."""
    plan = self._uniform.plan(self._inventory)
    nearest = []
    for path, found in self._members.items():
      kernel = plan.kernels[path]
      wanted = np.log(kernel.generator.stored(kernel.shape))
      sizes = np.log([member.stored(kernel.shape) for member in found])
      nearest.append(int(np.argmin(np.abs(sizes - wanted))))
    return self._space.of(nearest)

  def _losses(self, workdir: Path, quiet: bool) -> Any:
    """The loss of a choice on the held-out images, from the log or measured."""
    directory = workdir / "elastic"
    loop.run(elastic_config(self._config), directory, quiet=quiet)
    trained = loading.load(directory)
    answers = Answers(trained, self._with_choice, self._options)
    # What is known of other images is not known of these.
    options, batch = self._options, self._config.data.evaluation_batch_size
    seen = f"{options.examples}_{batch}_{options.statistics_batches}"
    log = driver.Log(workdir / f"losses_{seen}.jsonl", self._space)

    def loss(arch: Rates) -> float:
      found = log.record(arch, answers.of)["loss"]
      return found if math.isfinite(found) else _DIVERGED

    return loss

  def _with_choice(self, variables: Mapping[str, Any], rates: Rates) -> Any:
    routing: Any = traverse_util.flatten_dict(dict(variables["routing"]), sep="/")
    for path, k in zip(self._space.positions, rates.member, strict=True):
      layer = path.removesuffix("kernel")
      routing[f"{layer}map/member"] = np.array([k], np.float32)
    return {**variables, "routing": traverse_util.unflatten_dict(routing, sep="/")}
