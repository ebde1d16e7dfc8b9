"""What a configuration says of a search: its supernet, prices, problem and last run."""

import dataclasses
from pathlib import Path
from typing import Any

from neural_epitome.config import Config
from neural_epitome.errors import UserError
from neural_epitome.spaces.cost_model import UNITS
from neural_epitome.spaces.gate_options import UNITS as UNITS_OF_GATES
from neural_epitome.spaces.gate_options import GateOptions
from neural_epitome.spaces.searchable import Pricing, Searchable
from neural_epitome.strategies import Problem
from neural_epitome.strategies.options import SearchOptions


def of(config: Config) -> tuple[Searchable, SearchOptions]:
  """The supernet and the options of a search.

  Raises:
    UserError: if the experiment is no search, or its training has two phases.
  """
  if config.search is None or not isinstance(config.model, Searchable):
    raise UserError(
      f"Experiment {config.name} is no search: it needs config.search and a supernet "
      "for its config.model."
    )
  for name in ("budget", "dense_epochs"):
    if value := getattr(config.training, name):
      raise UserError(
        f"config.training.{name}={value!r} is for --mode=train: store the network that "
        "a search has found in a run of its own, with config.training.start."
      )
  return config.model, config.search


def prices(config: Config, classes: int) -> Pricing:
  """The prices of all choices, with measured latencies where there is a table of them.

  Args:
    config: of the search.
    classes: number of classes.

  Raises:
    UserError: if a latency is to be the price and there is no table, or the table is of
      another space or machine.
  """
  supernet, options = of(config)
  table = None
  if options.latency_table:
    table = supernet.latency_table(options.latency_table, anywhere=options.any_machine)
  elif options.metric == "latency":
    raise UserError(
      "config.search.metric=latency needs config.search.latency_table, a file that "
      "--mode=latency_table writes."
    )
  return supernet.prices(classes, config.data.input_shape[-1], table)


def gates(config: Config, target: float) -> GateOptions | None:
  """How gates learn in a round, their penalties aimed at its target.

  Args:
    config: of the search.
    target: price that the strategy aims at; 0 is none.
  """
  supernet, options = of(config)
  if supernet.gates is None:
    return None
  table = options.latency_table
  own = dataclasses.replace(supernet.gates, latency_table=table)
  return own.aimed(options.metric, target) if target else own


def warnings(config: Config, problem: Problem) -> list[str]:
  """Sentences on what is allowed and seldom meant.

  Args:
    config: of the search.
    problem: of it.
  """
  supernet, options = of(config)
  said = options.strategy.warnings(problem)
  low, high = options.strategy.price_range(problem)
  for penalty in supernet.gates.penalties if supernet.gates else ():
    target = penalty.target * UNITS_OF_GATES[penalty.metric]
    if penalty.metric == options.metric and target and not low <= target <= high:
      said.append(
        f"Gates are held at a {penalty.metric} of {target:,.4g}, and choices are drawn "
        f"from {low:,.4g} to {high:,.4g}: set that target of config.model.gates to 0, "
        "which is the middle of the window."
      )
  said += supernet.warnings(options.metric)
  return said


def problem(config: Config, prices: Pricing) -> Problem:
  """The problem that the strategy solves: the space, its prices and the budget.

  Args:
    config: of the search.
    prices: of the choices of its space.

  Raises:
    UserError: if the budget is below the smallest network.
  """
  supernet, options = of(config)
  space = supernet.space
  metric, unit = options.metric, UNITS[options.metric]
  largest = prices.of(space.largest)[metric]
  smallest = prices.of(space.smallest)[metric]
  budget = options.budget or options.share * largest
  if budget < smallest:
    field = "budget" if options.budget else "share"
    raise UserError(
      f"config.search.{field}={getattr(options, field):g} is {budget:,.6g} {unit}, "
      f"below the smallest network of the space, which has {smallest:,.6g} (the "
      f"largest has {largest:,.6g})."
    )
  return Problem(space, lambda a: prices.of(a)[metric], budget, options.seed)


def final_config(config: Config, arch: Any, classes: int, variables: Path) -> Config:
  """The configuration of the run that trains a choice as the plain network that it is.

  Args:
    config: of the search.
    arch: the choice.
    classes: number of classes.
    variables: where its own lie, cut out of the supernet.
  """
  supernet, options = of(config)
  network, planner = supernet.final(arch, classes)
  rate = options.final_learning_rate or config.optimizer.learning_rate
  start = str(variables) if options.final_start == "supernet" else ""
  return dataclasses.replace(
    config,
    name=f"{config.name}_final",
    model=network,
    planner=planner,
    data=dataclasses.replace(
      config.data,
      train_split=options.final_train_split,
      evaluation_split=options.final_evaluation_split,
    ),
    optimizer=dataclasses.replace(config.optimizer, learning_rate=rate),
    training=dataclasses.replace(
      config.training, epochs=options.final_epochs, start=start
    ),
    search=None,
  )
