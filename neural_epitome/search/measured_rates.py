"""The rate of each kernel, chosen by what rates cost a trained network.

The network has kernels that are read at all rates (`elastic_run`); the loss of a choice
is measured on the images that were held out.
"""

import dataclasses
import glob
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util

from neural_epitome.config import Config
from neural_epitome.cost import totals
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators import GeneratorSpec
from neural_epitome.errors import UserError
from neural_epitome.planning import BudgetPlanner, lagrangian
from neural_epitome.planning import budget as budgets
from neural_epitome.runs.progress import bar
from neural_epitome.search import driver, elastic_run
from neural_epitome.search.evaluator import Answers
from neural_epitome.spaces import ElasticPlanner
from neural_epitome.spaces.rate_space import Rates, RateSpace
from neural_epitome.strategies import Problem
from neural_epitome.strategies.options import SearchOptions
from neural_epitome.training import loading, loop

# Stands for a loss that is not finite, in nats.
_DIVERGED = 1e3


class MeasuredRates:
  """The choice of each kernel's rate, for one architecture and budget.

  Attributes:
    space: the rates of all kernels.
    members: the generators that each kernel may have, by path.
  """

  def __init__(self, config: Config, uniform: BudgetPlanner, inventory: Inventory):
    """Prices all rates of each kernel; nothing is measured or written yet.

    Args:
      config: the experiment; its `search` has the strategy and how many held-out
        examples a loss is measured on.
      uniform: the planner that meets the budget at one rate for all kernels.
      inventory: of the architecture.

    Raises:
      UserError: if the budget is below the price of the highest rates, or the rule
        gives kernels no sizes that can be chosen one by one.
    """
    self._config, self._uniform, self._inventory = config, uniform, inventory
    self._options = config.search or SearchOptions()
    self.members = ElasticPlanner(uniform.rules).members(inventory)
    self.space = RateSpace(
      tuple(self.members),
      tuple(len(generators) for generators in self.members.values()),
    )
    [(self._metric, self._budget)] = uniform.budgets().items()
    self._dense = self.price({})
    self._more = [
      [self.price({path: member}) - self._dense for member in generators]
      for path, generators in self.members.items()
    ]
    smallest = self.total_price(self.space.smallest)
    if smallest > self._budget:
      raise UserError(
        f"--budget is {self._budget:,} {self._metric}, below the smallest allocation, "
        f"which has {smallest:,.0f}: raise it, or leave --allocation=METHOD out."
      )

  def price(self, generators: Mapping[str, GeneratorSpec]) -> float:
    """The price of a network in the unit of the budget; kernels not named are dense."""
    plan = plans.make(self._inventory.kernels, generators)
    stored = plan.narrowed(self._uniform.bits)
    totals_ = totals.price(stored, self._inventory, "fold")
    return budgets.in_units(totals_)[self._metric]

  def total_price(self, rates: Rates) -> float:
    """The price of a choice, as the sum of what each kernel's rate adds."""
    pairs = zip(self._more, rates.member, strict=True)
    return self._dense + sum(row[k] for row, k in pairs)

  def planner(self, rates: Rates) -> BudgetPlanner:
    """A planner with kernels' sizes in proportion to a choice's, to fill the budget."""
    uses = {use.path: use for use in self._inventory.kernels}
    weights = {}
    for (path, generators), k in zip(self.members.items(), rates.member, strict=True):
      use = uses[path]
      weights[glob.escape(path)] = round(generators[k].stored(use.shape) / use.size, 5)
    rules = dataclasses.replace(self._uniform.rules, weights=weights)
    return dataclasses.replace(self._uniform, rules=rules)

  def by_sensitivity(self, workdir: Path, *, quiet: bool) -> Rates:
    """The choice of least loss within the budget, if kernels' losses simply add up.

    The loss of each rate of each kernel is measured with the other kernels at the
    rates nearest to the uniform allocation's; a Lagrangian multiplier then chooses.

    Args:
      workdir: see `allocation`.
      quiet: shows nothing.
    """
    loss = self._losses(workdir, quiet)
    start = self._nearest_uniform()
    evaluations = sum(self.space.counts)
    table = []
    with bar(evaluations, "evaluations", quiet) as shown:
      for index, count in enumerate(self.space.counts):
        row = []
        for k in range(count):
          member = start.member.copy()
          member[index] = k
          row.append(loss(self.space.of(member)))
          shown.update()
        # A kernel of fewer numbers has a lower loss by chance only.
        table.append(np.maximum.accumulate(row).tolist())
    chosen = lagrangian.choose(table, self._more, self._budget - self._dense)
    assert chosen is not None, "the budget is above the smallest choice"
    return self.space.of(chosen)

  def by_search(self, workdir: Path, *, quiet: bool) -> Rates:
    """The best choice that the strategy of `config.search` finds within the budget.

    Args:
      workdir: see `allocation`.
      quiet: shows nothing.

    Raises:
      UserError: if the strategy trains supernets of its own, or asks for no choice
        within the budget.
    """
    strategy = self._options.strategy
    if strategy.trains:
      raise UserError(
        f"config.search.strategy.kind={strategy.kind} trains supernets as it goes, and "
        "an allocation has one network for all; set another one, such as evolution."
      )
    strategy.check()
    loss = self._losses(workdir, quiet)
    problem = Problem(self.space, self.total_price, self._budget, self._options.seed)
    accuracies = driver.ask_all(problem, strategy, lambda a: -loss(a), quiet=quiet)
    best = driver.best(problem, accuracies)
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
    for path, generators in self.members.items():
      kernel = plan.kernels[path]
      target = np.log(kernel.generator.stored(kernel.shape))
      sizes = np.log([member.stored(kernel.shape) for member in generators])
      nearest.append(int(np.argmin(np.abs(sizes - target))))
    return self.space.of(nearest)

  def _losses(self, workdir: Path, quiet: bool) -> Callable[[Rates], float]:
    """The loss of a choice on the held-out images, from the log or measured."""
    directory = workdir / "elastic"
    loop.run(elastic_run.elastic_config(self._config), directory, quiet=quiet)
    trained = loading.load(directory)
    answers = Answers(trained, self._with_choice, self._options)
    # One log for each set of images: losses on others do not compare.
    options, batch = self._options, self._config.data.evaluation_batch_size
    images = f"{options.examples}_{batch}_{options.statistics_batches}"
    log = driver.Log(workdir / f"losses_{images}.jsonl", self.space)

    def loss(arch: Rates) -> float:
      measured = log.record(arch, answers.of)["loss"]
      return measured if math.isfinite(measured) else _DIVERGED

    return loss

  def _with_choice(self, variables: Mapping[str, Any], rates: Rates) -> Any:
    routing: Any = traverse_util.flatten_dict(dict(variables["routing"]), sep="/")
    for path, k in zip(self.space.positions, rates.member, strict=True):
      layer = path.removesuffix("kernel")
      routing[f"{layer}map/member"] = np.array([k], np.float32)
    return {**variables, "routing": traverse_util.unflatten_dict(routing, sep="/")}
