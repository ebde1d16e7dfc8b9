"""What a search finds against a narrower network of the same measured latency.

The table of `--mode=latency_table` is measured once, and the descent comes down to a
share of the largest network's latency by it. The narrower network is MobileNetV2's
scaling of the largest one, all channels alike, of the width whose measured time is
nearest to that of what was found, and not below it: whole networks, one call of each in
turn. Both train from random weights by the same recipe; what was found also from the
supernet's.
"""

import functools
import statistics
from collections.abc import Callable

import jax
import jax.numpy as jnp

from benchmarks.search_lab import Lab, narrowed
from benchmarks.search_rows import Row
from neural_epitome import models
from neural_epitome.cost.latency import alternate
from neural_epitome.models.chain import ChainConfig
from neural_epitome.search import latency, latency_measurement
from neural_epitome.search.prices import Prices
from neural_epitome.search.strategies import NetAdapt, Problem

SHARES = (0.5, 0.25)
# Of a call: one image of 28 x 28 pixels is over before its operators have been called.
BATCH = 16
# Of whole networks that are timed against each other.
ROUNDS, FINER = 200, 40
WIDTHS = [step / 20 for step in range(2, 21)]


class AtLatency:
  """The rows of this part; a supernet of the same seed comes first."""

  def __init__(self, lab: Lab, sampler: str):
    self._lab, self._sampler = lab, sampler

  def run(self, seed: int) -> None:
    """A search for each share of the largest latency, and its control."""
    lab = self._lab
    for share in SHARES:
      name = f"latency_{share:g}"
      lab.once(name, seed, "search", self._search)
      lab.once(f"{name}_from_supernet", seed, "final", self._final)
      lab.once(f"{name}_from_scratch", seed, "final", self._final)
      lab.once(f"{name}_width", seed, "baseline", self._width)

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
      table.save(path)
    return latency.load(path, lab.space, anywhere=False)

  def _search(self, name: str, seed: int) -> Row:
    lab, share = self._lab, float(name.partition("_")[2])
    if not lab.table.find(self._sampler, seed, "supernet"):
      return {}
    prices = Prices(lab.space, lab.classes, lab.config.data.channels, self._table())

    def price(arch) -> float:
      return prices.of(arch)["latency"]

    budget = share * price(lab.space.largest)
    problem = Problem(lab.space, price, budget, seed)
    strategy = NetAdapt(layers=2, samples=12)
    row = lab.search(name, self._sampler, seed, strategy, problem)
    return row | {"latency_ms": round(price(lab.found(name, seed)), 4)}

  def _final(self, name: str, seed: int) -> Row:
    lab = self._lab
    search, _, origin = name.rpartition("_from_")
    row, arch = (
      lab.final(search, self._sampler, seed, origin),
      lab.found(search, seed),
    )
    if arch is None:
      return {}
    return row | {"latency_ms": self.times([lab.space.network(arch)])[0]}

  def _width(self, name: str, seed: int) -> Row:
    """The narrower network that takes as long as what was found, or just longer."""
    lab = self._lab
    arch = lab.found(name.removesuffix("_width"), seed)
    if arch is None:
      return {}
    spaces = [narrowed(lab.space, width) for width in WIDTHS]
    networks = [space.network(space.largest) for space in spaces]
    found, *times = self.times([lab.space.network(arch), *networks], FINER)
    slower = [i for i, time in enumerate(times) if time >= found] or [len(times) - 1]
    chosen = networks[slower[0]]
    found, taken = self.times([lab.space.network(arch), chosen])
    row = lab.train(name, seed, lab.plain(chosen, seed, tested=True))
    print(f"{name}: {taken:.4f} ms, and what was found {found:.4f} ms")
    return row | {"latency_ms": taken}

  def times(self, networks: list[ChainConfig], rounds: int = ROUNDS) -> list[float]:
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
