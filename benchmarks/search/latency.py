"""What a search finds against a narrower network of the same measured latency.

The table of `--mode=latency_table` is measured once; how its sums agree with whole
networks goes to results/latency_table.csv. The descent comes down to a share of the
largest network's latency by it, with blocks that may be left out and without.

The narrower network has all channels scaled alike, to multiples of 2 or 8: of those
that take at most `TOLERANCE` longer than what was found, the one with most
multiply-adds. Whole networks are timed, one call of each in turn. Both train from
random weights by the same recipe; what was found also from the supernet's, and the
narrower one also for as long as supernet, search and final training took.
"""

import csv
import dataclasses
import functools
import json
import statistics
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from benchmarks.search.lab import Lab, narrowed
from benchmarks.search.rows import Row
from neural_epitome import models
from neural_epitome.cost.latency import alternate
from neural_epitome.errors import UserError
from neural_epitome.models.chain import ChainConfig
from neural_epitome.search import latency_measurement
from neural_epitome.spaces import latency
from neural_epitome.spaces.cost_model import Prices
from neural_epitome.strategies import NetAdapt, Problem

SHARES = (0.5, 0.25)
# Of a call: one image of 28 x 28 pixels is over before its operators have been called.
BATCH = 16
TOLERANCE = 0.02
# Of whole networks that are timed against each other: all, and a pair.
COARSE, ROUNDS = 40, 200
WIDTHS = [step / 20 for step in range(2, 21)]
AGREEMENT = ("dataset", "blocks", "batch", "networks", "slope", "rank_correlation")


class AtLatency:
  """The rows of this part; a supernet of the same seed comes first."""

  def __init__(self, lab: Lab, sampler: str, shares: Sequence[float] = SHARES):
    self._lab, self._sampler, self._shares = lab, sampler, shares

  def run(self, seed: int) -> None:
    """A search for each share of the largest latency, what it found, its control."""
    once = self._lab.once
    for share in self._shares:
      name = f"latency_{share:g}"
      once(name, seed, "search", self._search)
      once(f"{name}_without_bypass", seed, "search", self._search)
      once(f"{name}_from_supernet", seed, "final", self._final)
      once(f"{name}_from_scratch", seed, "final", self._final)
      once(f"{name}_width", seed, "baseline", self._width)

  def run_longer(self, seed: int) -> None:
    """The controls that train as long as all stages took."""
    for share in self._shares:
      name = f"latency_{share:g}_width_longer"
      self._lab.once(name, seed, "baseline", self._width)

  def _table(self) -> latency.LatencyTable:
    lab = self._lab
    path = lab.directory("latency", 0).with_suffix(".json")
    if not path.exists():
      table = latency_measurement.measure(
        lab.space,
        lab.classes,
        lab.config.data.channels,
        batch=BATCH,
        networks=20,
        quiet=False,
      )
      path.parent.mkdir(parents=True, exist_ok=True)
      table.save(path)
      self._write_agreement(table)
    return latency.load(path, lab.space, anywhere=False)

  def _write_agreement(self, table: latency.LatencyTable) -> None:
    here = table.circumstances
    blocks = len(table.blocks) + len(table.ends)
    agreement = (round(table.slope, 3), round(table.rank_correlation, 3))
    about = (self._lab.config.data.dataset, blocks, here.batch, table.checked)
    row = [*about, *agreement, here.machine, here.runtime]
    path = self._lab.table.path.with_name("latency_table.csv")
    is_new = not path.exists()
    with path.open("a", newline="") as file:
      writer = csv.writer(file)
      if is_new:
        writer.writerow([*AGREEMENT, "machine", "runtime"])
      writer.writerow(row)

  def _search(self, name: str, seed: int) -> Row:
    lab, (share, _, without) = self._lab, name.split("_", 1)[1].partition("_")
    prices = Prices(lab.space, lab.classes, lab.config.data.channels, self._table())

    def price(arch) -> float:
      return prices.of(arch)["latency"]

    space = lab.space
    if without:
      space = dataclasses.replace(space, bypass=False)
    budget = float(share) * price(lab.space.largest)
    if price(space.smallest) > budget:
      print(f"{name}: with every block the smallest network takes longer than that")
      return {}
    problem = Problem(space, price, budget, seed)
    strategy = NetAdapt(layers=2, samples=12)
    row = lab.search(name, self._sampler, seed, strategy, problem)
    return row | {"latency_ms": round(price(lab.arch(name, seed)), 4)}

  def _final(self, name: str, seed: int) -> Row:
    search, _, origin = name.rpartition("_from_")
    if self._lab.arch(search, seed) is None:
      return {}
    times = self._timed(search, seed)
    row = self._lab.final(search, self._sampler, seed, origin)
    return row | {"latency_ms": times["found"]}

  def _width(self, name: str, seed: int) -> Row:
    lab = self._lab
    search = name.partition("_width")[0]
    if lab.arch(search, seed) is None:
      return {}
    times = self._timed(search, seed)
    space = narrowed(lab.space, times["width"], times["multiple"])
    config = lab.plain(space.network(space.largest), seed, tested=True)
    if name.endswith("_longer"):
      stages = {"search": search, "final": f"{search}_from_supernet"}
      spent = lab.seconds(seed, supernet=self._sampler, **stages)
      each = lab.seconds(seed, baseline=f"{search}_width")
      if spent is None or each is None:
        return {}
      config = lab.longer(config, spent, each)
    return lab.train(name, seed, config) | {"latency_ms": times["narrower"]}

  def _timed(self, search: str, seed: int) -> dict[str, float]:
    """Which narrower network takes as long as what was found; timed in one run."""
    lab = self._lab
    path = lab.directory(search, seed) / "times.json"
    if path.exists():
      return json.loads(path.read_text())
    arch = lab.arch(search, seed)
    chosen = lab.space.network(arch)
    spaces = {(m, w): narrowed(lab.space, w, m) for m in (2, 8) for w in WIDTHS}
    same = {space.network(space.largest): key for key, space in spaces.items()}
    networks = {key: network for network, key in same.items()}
    seconds, *times = self.times([chosen, *networks.values()], COARSE)
    data = lab.config.data

    def madds(key: tuple[int, float]) -> float:
      space = spaces[key]
      return Prices(space, lab.classes, data.channels).of(space.largest)["madds"]

    # Medians of few calls: those that may be within are timed again, in pairs.
    near = [
      key
      for key, taken in zip(networks, times, strict=True)
      if taken <= (1 + 3 * TOLERANCE) * seconds
    ]
    for key in sorted(near, key=madds, reverse=True):
      seconds, narrower = self.times([chosen, networks[key]])
      if narrower <= (1 + TOLERANCE) * seconds:
        result = {"found": seconds, "narrower": narrower}
        result |= {"multiple": key[0], "width": key[1]}
        path.write_text(json.dumps(result))
        print(f"{search}: {json.dumps(result)}")
        return result
    raise UserError(f"{search}: no narrower network is as fast as what was found.")

  def times(self, networks: Sequence[ChainConfig], rounds: int = ROUNDS) -> list[float]:
    """Milliseconds of a call, batch norms merged: medians of calls in turn."""
    lab = self._lab
    images = jnp.zeros((BATCH, *lab.config.data.input_shape))

    def call(network: ChainConfig) -> Callable[[], jax.Array]:
      module = network.build(lab.classes, models.make_layers(merged=True))
      variables = jax.jit(module.init)(jax.random.key(0), images)
      # Constants, as in the table: more blocks would be more arguments of a call.
      run = jax.jit(functools.partial(module.apply, variables))
      run(images).block_until_ready()
      return lambda: run(images).block_until_ready()

    calls = {str(number): call(network) for number, network in enumerate(networks)}
    seconds = alternate(calls, rounds)
    return [round(1e3 * statistics.median(seconds[name]), 4) for name in calls]
