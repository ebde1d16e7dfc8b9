"""What a search finds against a narrower network of as many bytes, rates in the space.

The space has, beside widths, depth and windows, the epitome rate of every 1x1 kernel. A
supernet of it is trained as the others, and the descent comes down to a share of the
largest network's bytes, at any number of multiply-adds. Its controls store as much: the
largest network narrowed, all channels alike, and the largest network with the tile
epitomes that `--mode=plan --allocation=uneven` gives it; both also trained for as long
as supernet, search and final training took.
"""

import dataclasses

from benchmarks.search.lab import Lab, narrowed_to
from benchmarks.search.rows import Row
from neural_epitome.config import Config
from neural_epitome.epitome.generators import EpitomeRule
from neural_epitome.planning import BudgetPlanner, RatePlanner
from neural_epitome.spaces.cost_model import Prices
from neural_epitome.strategies import NetAdapt, Problem

RATES = (1, 2, 4, 8)
SHARE = 0.25
SEARCH = "bytes"


def with_rates(config: Config) -> Config:
  """The experiment with rates in its space."""
  space = dataclasses.replace(config.model.space, rates=RATES)
  return dataclasses.replace(
    config, model=dataclasses.replace(config.model, space=space)
  )


class AtBytes:
  """The rows of this part."""

  def __init__(self, lab: Lab, sampler: str):
    self._lab, self._sampler = lab, sampler
    self._prices = Prices(lab.space, lab.classes, lab.config.data.channels)

  def run(self, seed: int) -> None:
    """A supernet, a search, what it found, and its controls."""
    once = self._lab.once
    once(f"{SEARCH}_{self._sampler}", seed, "supernet", self._supernet)
    once(SEARCH, seed, "search", self._search)
    once(f"{SEARCH}_from_supernet", seed, "final", self._final)
    once(f"{SEARCH}_from_scratch", seed, "final", self._final)
    once(f"{SEARCH}_width", seed, "baseline", self._width)
    once(f"{SEARCH}_uneven", seed, "baseline", self._uneven)

  def run_longer(self, seed: int) -> None:
    """The controls that train as long as all stages took."""
    once = self._lab.once
    once(f"{SEARCH}_width_longer", seed, "baseline", self._width)
    once(f"{SEARCH}_uneven_longer", seed, "baseline", self._uneven)

  def _budget(self) -> float:
    return SHARE * self._prices.of(self._lab.space.largest)["bytes"]

  def _supernet(self, name: str, seed: int) -> Row:
    del name
    return {"seconds": self._lab.train_supernet(self._sampler, seed)}

  def _search(self, name: str, seed: int) -> Row:
    lab = self._lab
    if not lab.table.find(f"{name}_{self._sampler}", seed, "supernet"):
      return {}
    problem = Problem(
      lab.space, lambda a: self._prices.of(a)["bytes"], self._budget(), seed
    )
    strategy = NetAdapt(layers=2, samples=12)
    return lab.search(name, self._sampler, seed, strategy, problem)

  def _final(self, name: str, seed: int) -> Row:
    search, _, origin = name.rpartition("_from_")
    return self._lab.final(search, self._sampler, seed, origin)

  def _width(self, name: str, seed: int) -> Row:
    lab = self._lab
    channels = lab.config.data.channels
    space = narrowed_to(lab.space, lab.classes, channels, "bytes", self._budget())
    config = lab.plain(space.network(space.largest), seed, tested=True)
    return self._train(name, seed, config)

  def _uneven(self, name: str, seed: int) -> Row:
    """The largest network, its kernels compressed by the rule that measures nothing."""
    lab = self._lab
    rules = RatePlanner(rule=EpitomeRule(routing="tile"), allocation=0.5)
    planner = BudgetPlanner(bytes=int(self._budget()), rules=rules)
    config = lab.plain(lab.space.network(lab.space.largest), seed, tested=True)
    return self._train(name, seed, dataclasses.replace(config, planner=planner))

  def _train(self, name: str, seed: int, config: Config) -> Row:
    """A control, or one that is given the seconds of supernet and search as well."""
    shorter = name.removesuffix("_longer")
    if shorter != name:
      spent = self._lab.seconds(
        seed,
        supernet=f"{SEARCH}_{self._sampler}",
        search=SEARCH,
        final=f"{SEARCH}_from_supernet",
      )
      each = self._lab.seconds(seed, baseline=shorter)
      if spent is None or each is None:
        return {}
      config = self._lab.longer(config, spent, each)
    return self._lab.train(name, seed, config)
