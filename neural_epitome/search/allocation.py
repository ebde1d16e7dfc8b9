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
DIR/losses_*.jsonl  the losses that it has with each choice of rates
"""

import dataclasses
from pathlib import Path
from typing import Literal

from neural_epitome.config import Config
from neural_epitome.errors import UserError
from neural_epitome.planning import BudgetPlanner, DensePlanner
from neural_epitome.planning import budget as budgets
from neural_epitome.search.elastic_run import rules_of
from neural_epitome.search.measured_rates import MeasuredRates
from neural_epitome.spaces import SupernetConfig
from neural_epitome.training import setup

Method = Literal["uniform", "uneven", "sensitivity", "searched"]
_SHARES = {"uniform": 1.0, "uneven": 0.5}


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
  rates = MeasuredRates(config, planner, inventory)
  choose = rates.by_sensitivity if method == "sensitivity" else rates.by_search
  return rates.planner(choose(workdir, quiet=quiet))
