"""The search without a supernet: every choice that it asks for is trained by itself.

It draws choices within the same budget and may take `TIMES` as long as supernet, search
and final training take together; the best of them on the held-out images is then
trained as what any search found. Choices train as `alone_N` do.
"""

import json
import statistics
import time

from benchmarks.search_lab import Lab
from benchmarks.search_rows import Row
from neural_epitome.search.prices import Prices
from neural_epitome.search.strategies import Problem, RandomSearch

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
    self._lab.once(f"{SEARCH}_from_scratch", seed, "final", self._final)

  def _search(self, name: str, seed: int) -> Row:
    lab = self._lab
    rows = [lab.table.find(row, seed, stage) for stage, row in self._stages.items()]
    if None in rows:
      return {}
    seconds = [float(row["seconds"]) for row in rows]
    # Its own final training is of the same length.
    allowed = TIMES * sum(seconds) - seconds[-1]
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
      taken.append(row["seconds"])
      top1[arch] = row["top1"]
      print(f"{name} {number}: {row['top1']:.2f}%, {sum(taken):.0f} s of {allowed:.0f}")
    best = max(top1, key=top1.get)
    directory = lab.directory(name, seed)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "arch.json").write_text(json.dumps(best.to_json()))
    found = prices.of(best)
    return {
      "seconds": round(sum(taken), 1),
      "evaluations": len(taken),
      "top1": top1[best],
      "madds": found["madds"],
      "stored_bytes": found["bytes"],
    }

  def _final(self, name: str, seed: int) -> Row:
    search, _, origin = name.rpartition("_from_")
    return self._lab.final(search, "", seed, origin)
