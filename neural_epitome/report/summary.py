"""The report of a run: one flat dictionary, written as report.json."""

from collections.abc import Mapping
from typing import Any

from neural_epitome.config import Config
from neural_epitome.cost import totals
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.plan import Plan


def prices(config: Config, plan: Plan, inventory: Inventory) -> dict[str, int]:
  """What the network stores and computes, and what the dense one does.

  Args:
    config: the experiment; its execution decides the operations.
    plan: of the network.
    inventory: of its architecture.

  Returns:
    stored_params, expanded_params, stored_bytes, madds, adds (both per image, as
    executed), folded_madds (madds with config.execution=fold), dense_madds and
    dense_params (the same architecture without epitomes).
  """
  ours = totals.price(plan, inventory, config.execution)
  folded = totals.price(plan, inventory, "fold")
  dense = totals.price(plans.make(inventory.kernels, {}), inventory)
  return {
    "stored_params": ours.stored_params,
    "expanded_params": ours.expanded_params,
    "stored_bytes": ours.stored_bytes,
    "madds": ours.madds,
    "adds": ours.adds,
    "folded_madds": folded.madds,
    "dense_madds": dense.madds,
    "dense_params": dense.stored_params,
  }


def make(
  config: Config,
  plan: Plan,
  inventory: Inventory,
  *,
  steps: int,
  seconds: float,
  top1: float,
  top1_ema: float | None,
  bad: Mapping[str, int],
) -> dict[str, Any]:
  """Makes the report of a run.

  Args:
    config: the experiment.
    plan: of the network.
    inventory: of its architecture.
    steps: trained.
    seconds: of wall clock, over all sessions.
    top1: share of the evaluation split, in [0, 1], with the raw weights.
    top1_ema: the same with the averaged weights; None without them.
    bad: numbers of examples that could not be decoded; 0 is left out.

  Returns:
    experiment, dataset, seed, steps, seconds, top1, top1_ema, all of `prices` and
    what there is of `bad`.
  """
  return {
    "experiment": config.name,
    "dataset": config.data.dataset,
    "seed": config.training.seed,
    "steps": steps,
    "seconds": round(seconds, 2),
    "top1": top1,
    "top1_ema": top1_ema,
    **prices(config, plan, inventory),
    **{name: count for name, count in bad.items() if count},
  }
