"""The search without a supernet: every choice that it asks for is trained by itself.

It draws choices within the same budget and may take `TIMES` as long as supernet, search
and final training take together; the best of them on the held-out images is then
trained as what any search found, from random weights and from those that it has by
then. Choices train as `alone_N` do.
"""

import json
import statistics
import time

import jax

import neural_epitome as ne
from benchmarks.search.lab import Lab
from benchmarks.search.rows import Row
from neural_epitome.spaces.cost_model import Prices
from neural_epitome.strategies import Problem, RandomSearch
from neural_epitome.training import initialization

TIMES = 5.8
SEARCH = "apart"
# More than there is time for.
_MOST = 1000


class Apart:
  """The rows of this part; supernet, search and final of the same seed come first."""

  def __init__(self, lab: Lab, share: float, sampler: str):
    self._lab, self._share = lab, share
    self._stages = {
      "supernet": sampler,
      "search": "netadaptv2",
      "final": "netadaptv2_from_supernet",
    }

  def run(self, seed: int) -> None:
    """The search, and what it found."""
    self._lab.once(SEARCH, seed, "search", self._search)
    for origin in ("own", "scratch"):
      self._lab.once(f"{SEARCH}_from_{origin}", seed, "final", self._final)

  def _search(self, name: str, seed: int) -> Row:
    lab = self._lab
    spent = lab.seconds(seed, **self._stages)
    if spent is None:
      return {}
    # Its own final training is of the same length.
    allowed = TIMES * spent - lab.seconds(seed, final=self._stages["final"])
    prices = Prices(lab.space, lab.classes, lab.config.data.channels)
    budget = self._share * prices.of(lab.space.largest)["madds"]
    problem = Problem(lab.space, lambda a: prices.of(a)["madds"], budget, seed)
    archs = (a for batch in RandomSearch(_MOST).search(problem) for a in batch)
    taken, top1 = [], {}
    for number, arch in enumerate(archs):
      if taken and sum(taken) + statistics.median(taken) > allowed:
        break
      if time.monotonic() > lab.deadline:
        print(f"{name}: {number} choices are trained; the same call goes on.")
        return {}
      config = lab.plain(lab.space.network(arch), seed, tested=False)
      row = lab.train(f"{name}_{number}", seed, config)
      # Each is another program: what was compiled is of no more use.
      jax.clear_caches()
      taken.append(row["seconds"])
      top1[arch] = row["top1"]
      print(f"{name} {number}: {row['top1']:.2f}%, {sum(taken):.0f} s of {allowed:.0f}")
    best = max(top1, key=top1.get)
    directory = lab.directory(name, seed)
    directory.mkdir(parents=True, exist_ok=True)
    trained = ne.load(lab.directory(f"{name}_{[*top1].index(best)}", seed))
    variables = {part: trained.variables[part] for part in ("params", "batch_stats")}
    initialization.save(jax.device_get(variables), directory / "variables.npz")
    (directory / "arch.json").write_text(json.dumps(best.to_json()))
    price = prices.of(best)
    return {
      "seconds": round(sum(taken), 1),
      "evaluations": len(taken),
      "top1": top1[best],
      "madds": price["madds"],
      "stored_bytes": price["bytes"],
    }

  def _final(self, name: str, seed: int) -> Row:
    search, _, origin = name.rpartition("_from_")
    return self._lab.final(search, "", seed, origin)
