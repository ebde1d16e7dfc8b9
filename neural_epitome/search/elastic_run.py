"""The run that trains an experiment's kernels to be read at all rates.

It trains on a part of the training split; allocations are compared on the rest.
"""

import dataclasses

from neural_epitome.config import Config
from neural_epitome.data.options import Data
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.errors import UserError
from neural_epitome.planning import DensePlanner, RatePlanner
from neural_epitome.spaces import ElasticPlanner

# Percent of the training examples that are held out, where a split can be cut.
HELD_OUT = 10


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

  Raises:
    UserError: as `rules_of` and `with_held_out`.
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
