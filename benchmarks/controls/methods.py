"""The methods that are compared, each as one change of a dense experiment.

A method is a pure function from a dense configuration and a rate to a configuration
of the same recipe. It changes the weight generator of the plan, or the architecture;
training, data and update rule stay. Numbers stored are those of `target`, within 1%.

Every method is given the same number of trials, alternatives among which the
validation split chooses: its own variants, or learning rates where it has none.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from neural_epitome import models
from neural_epitome.config import Config
from neural_epitome.cost import inventory as inventories
from neural_epitome.cost import totals
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome.generators import (
  EpitomeRule,
  HashedRule,
  LowRankRule,
  QuantisedRule,
  Rule,
  SharedEpitomeRule,
  WSNetRule,
)
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.errors import UserError
from neural_epitome.planning import RatePlanner, pruning
from neural_epitome.planning.width import match_width

FIXED = IndexOptions(source="fixed", start="random")


@dataclasses.dataclass(frozen=True)
class Method:
  """One method.

  Attributes:
    configure: (dense configuration, rate, options of the trial) -> configuration.
    trials: options of each alternative.
    rates: at which it is run; None for all of the suite.
    is_brief: whether it is run at a setting's brief rates too.
    is_pruned: whether it trains dense first (see `training.pruning`).
  """

  configure: Callable[..., Config]
  trials: tuple[Mapping[str, Any], ...]
  rates: tuple[float, ...] | None = None
  is_brief: bool = False
  is_pruned: bool = False


def inventory_of(dense: Config) -> Inventory:
  """The kernels of the dense configuration, whose data says how many classes."""
  assert dense.data.classes is not None
  return _inventory(dense.model, dense.data.classes, dense.data.input_shape)


@functools.cache
def _inventory(
  model: models.ModelConfig, classes: int, input_shape: tuple[int, ...]
) -> Inventory:
  # Every method at every rate asks again, and tracing takes seconds.
  return inventories.take(models.create(model, classes), input_shape)


def target(dense: Config, rate: float) -> int:
  """Numbers that every method stores at a rate.

  The compressed kernels' weights (all but the first layer's and depthwise ones) over
  the rate, and everything else whole.
  """
  inventory = inventory_of(dense)
  compressed = sum(use.size for use in RatePlanner().compressible(inventory))
  return round(inventory.size - compressed + compressed / rate)


def stored(config: Config) -> int:
  """Numbers that a configuration's network stores."""
  inventory = inventory_of(config)
  return totals.price(config.planner.plan(inventory), inventory).stored_params


def check_pruned(dense: Config, rate: float) -> None:
  """Raises UserError if the dense network cannot be pruned to what others store."""
  narrow = pruning.narrowest(dense.model, inventory_of(dense).kernels)
  fewest = inventory_of(dataclasses.replace(dense, model=narrow)).size
  target_params = target(dense, rate)
  if fewest > 1.01 * target_params:
    raise UserError(
      f"pruned cannot store {target_params:,} parameters: with 8 channels at least in "
      f"every group it stores {fewest:,}."
    )


def with_learning_rate(config: Config, factor: float) -> Config:
  """The configuration with its learning rate times `factor`."""
  rate = factor * config.optimizer.learning_rate
  optimizer = dataclasses.replace(config.optimizer, learning_rate=rate)
  return dataclasses.replace(config, optimizer=optimizer)


def _planned(
  rule: Rule, indices: IndexOptions = FIXED, **settings: Any
) -> Callable[..., Config]:
  def configure(
    dense: Config,
    rate: float,
    allocation: float = 1.0,
    classifier: float = 1.0,
    factor: float = 1.0,
    **changes: Any,
  ) -> Config:
    known = {field.name for field in dataclasses.fields(rule)}  # type: ignore
    ruled = dataclasses.replace(
      rule, **{name: changes.pop(name) for name in known & changes.keys()}
    )
    weights = {} if classifier == 1.0 else {"classifier/kernel": classifier}
    planner = RatePlanner(rate=rate, rule=ruled, allocation=allocation, weights=weights)
    options = dataclasses.replace(indices, **changes)
    config = dataclasses.replace(dense, planner=planner, indices=options, **settings)
    return with_learning_rate(config, factor)

  return configure


def _dense(dense: Config, rate: float, factor: float = 1.0) -> Config:
  del rate
  return with_learning_rate(dense, factor)


def _scaled_width(dense: Config, rate: float, factor: float = 1.0) -> Config:
  return with_learning_rate(_of_size(dense, target(dense, rate)), factor)


def _depth_multiplier(dense: Config, rate: float, factor: float = 1.0) -> Config:
  """Half as wide an expansion, twice as many depthwise kernels, scaled in width."""
  if not hasattr(dense.model, "depth_multiplier"):
    raise UserError(
      f"depth_multiplier needs depthwise convolutions; a {dense.model.kind} has none."
    )
  model = dataclasses.replace(dense.model, depth_multiplier=2)
  doubled = dataclasses.replace(dense, model=model)
  return with_learning_rate(_of_size(doubled, target(dense, rate)), factor)


def _of_size(config: Config, parameters: int) -> Config:
  data = config.data
  assert data.classes is not None
  model = _match_width(config.model, parameters, data.classes, data.input_shape)
  return dataclasses.replace(config, model=model)


# Every trial asks for the same one.
_match_width = functools.cache(match_width)


RATES = tuple({"factor": factor} for factor in (0.5, 1.0, 2.0, 4.0))
SIDES = tuple(
  {"side": side, "factor": factor} for side in ("wide", "both") for factor in (1.0, 2.0)
)
# A tile short on both axes would give classes the same logits: it has one side.
UNEVEN_TILES = tuple(
  {"allocation": share, "factor": factor}
  for share, factor in ((0.5, 1.0), (0.5, 2.0), (0.25, 2.0), (0.5, 4.0))
)
SHARES = (
  {"side": "wide", "allocation": 0.5, "factor": 2.0},
  {"side": "both", "allocation": 0.5, "factor": 1.0},
  {"side": "both", "allocation": 0.5, "factor": 2.0},
  {"side": "both", "allocation": 0.25, "factor": 2.0},
)

# At an even rate a classifier is left one rank, and all logits lie on a line.
RANKS = tuple(
  {"allocation": 0.5, "classifier": share, "factor": factor}
  for share, factor in ((4.0, 1.0), (4.0, 2.0), (8.0, 2.0), (8.0, 4.0))
)
BLOCKS = tuple(
  {"block": block, "factor": factor} for block in (256, 1024) for factor in (1.0, 2.0)
)
FOLDED = tuple(
  {"source": source, "factor": factor}
  for source in ("learner", "free")
  for factor in (1.0, 2.0)
)

METHODS: dict[str, Method] = {
  "dense": Method(_dense, RATES, rates=(1.0,), is_brief=True),
  "width": Method(_scaled_width, RATES, is_brief=True),
  "depth_multiplier": Method(_depth_multiplier, RATES),
  "tile": Method(_planned(EpitomeRule(routing="tile")), RATES, is_brief=True),
  "tile_scaled": Method(_planned(EpitomeRule(routing="tile", scaled=True)), SIDES),
  "tile_uneven": Method(
    _planned(EpitomeRule(routing="tile")), UNEVEN_TILES, is_brief=True
  ),
  "random": Method(_planned(EpitomeRule(routing="blockwise")), SIDES),
  "random_uneven": Method(
    _planned(EpitomeRule(routing="blockwise")), SHARES, is_brief=True
  ),
  "wsnet": Method(_planned(WSNetRule()), RATES, is_brief=True),
  "low_rank": Method(_planned(LowRankRule()), RANKS),
  "hashed": Method(_planned(HashedRule()), RATES),
  "pruned": Method(_dense, RATES, is_pruned=True),
  "int8": Method(_planned(QuantisedRule()), RATES, rates=(4.0,)),
  "learned": Method(_planned(SharedEpitomeRule()), BLOCKS, is_brief=True),
  # What the recommended form is measured against, and came from.
  "learned_unscaled": Method(_planned(SharedEpitomeRule(block=10**9)), RATES),
  "learned_free": Method(
    _planned(
      EpitomeRule(routing="blockwise", scaled=True),
      IndexOptions(source="free", start="random"),
    ),
    SIDES,
  ),
  "learned_published": Method(
    _planned(EpitomeRule(), IndexOptions(source="learner", noise=0.0)), SIDES
  ),
  # In 2-D saves over a quarter of the multiply-adds; held against the dense network.
  "learned_folded": Method(
    _planned(EpitomeRule(), IndexOptions(start="zero"), execution="fold"),
    FOLDED,
    rates=(1.45,),
  ),
}


def methods_at(
  rates: Sequence[float], brief: Sequence[float], rank: int
) -> Iterator[tuple[str, float]]:
  """Names and rates of the methods that are run at the rank-th rate of a setting.

  Methods with a rate of their own are run with the first; see `Method` for `brief`.
  """
  for name, method in METHODS.items():
    if rates[rank] in brief and not method.is_brief:
      continue
    if method.rates is None:
      yield name, rates[rank]
    elif not rank:
      for rate in method.rates:
        yield name, rate
