"""A search that trains in rounds, in the time that one supernet takes.

Subset evolution gets as many seconds for all its supernets as ordered dropout gets for
its one, and asks about as many questions as the descent. What it finds is trained as
what any search found, from the weights of its last round.
"""

import time
from typing import cast

from benchmarks.search.lab import Lab
from benchmarks.search.rows import Row
from neural_epitome.spaces.arch import Arch
from neural_epitome.spaces.chain_space import ChainSpace
from neural_epitome.spaces.cost_model import Prices
from neural_epitome.strategies import Problem, Round, SubsetEvolution

SEARCH = "subset_evolution"
ROUNDS = 3


class InRounds:
  """The rows of this part; the descent of the same seed comes first."""

  def __init__(self, lab: Lab, share: float, sampler: str):
    self._lab, self._share, self._sampler = lab, share, sampler

  def run(self, seed: int) -> None:
    """The search, and what it found."""
    self._lab.once(SEARCH, seed, "search", self._search)
    self._lab.once(f"{SEARCH}_from_own", seed, "final", self._final)

  def _search(self, name: str, seed: int) -> Row:
    lab, seconds = self._lab, []
    descent = lab.table.find("netadaptv2", seed, "search")
    if descent is None:
      return {}
    prices = Prices(lab.space, lab.classes, lab.config.data.channels)
    budget = self._share * prices.of(lab.space.largest)["madds"]
    problem = Problem(lab.space, lambda a: prices.of(a)["madds"], budget, seed)
    samples = max(1, round(int(descent["evaluations"]) / ROUNDS))
    strategy = SubsetEvolution(rounds=ROUNDS, samples=samples)
    labs: list[Lab] = []

    def train(of: Round) -> None:
      part, number = cast(ChainSpace, of.space), len(labs) + 1
      labs.append(lab.with_space(part, f"{name}_{seed}_{number}", 1 / ROUNDS))
      # As its report says: it may have been done before this call.
      seconds.append(labs[-1].train_supernet(self._sampler, seed))

    def top1(arch: Arch) -> float:
      answers = labs[-1].answers(self._sampler, seed)
      begin = time.monotonic()
      top1 = answers.of(arch)["top1"]
      seconds.append(time.monotonic() - begin)
      return top1

    best, row = lab.ask(name, seed, strategy, problem, top1, train)
    labs[-1].cut_out(lab.directory(name, seed), self._sampler, seed, best)
    return row | {"seconds": round(sum(seconds), 1)}

  def _final(self, name: str, seed: int) -> Row:
    search, _, origin = name.rpartition("_from_")
    return self._lab.final(search, self._sampler, seed, origin)
