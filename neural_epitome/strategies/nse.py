"""Neural Search-space Evolution: a subset of the space that evolves, round by round.

Ci et al., ICCV 2021 (arXiv 2011.10904), by its authors' code. A round trains a supernet
of the operations in use from random weights, gates beside it, draws architectures of
about the target's price from the gates, scores them and those that were retained
before, and retains the front. What the front uses stays in use, and others join from
the queues of those that were not seen yet. Rules are in `nse_rules`, queues in
`option_pools`; where nothing learns gates, as on tables, draws are even.
"""

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

import numpy as np

from neural_epitome.domains import Count, Domain, Whole
from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.spaces.space import Divisible
from neural_epitome.strategies import nse_rules, option_pools
from neural_epitome.strategies.base import Problem, Questions, Round, Strategy
from neural_epitome.strategies.option_pools import OptionPools, Options

# At a time, to look which of them are in the window.
_DRAWN = 8


@dataclasses.dataclass(frozen=True)
class NSE(Strategy):
  """Rounds of training, scoring, retaining and refilling.

  The window of prices ends at the budget: its middle, at which gates aim while they
  train, is budget / (1 + drift). NSE's authors look on both sides of a target and give
  the network that is retrained another width; here what is found is within the budget.

  Attributes:
    capacity: operations of a cell that are in use at a time.
    rounds: the most that there are; 0 takes as many as show all operations of the
      largest pool if one of a cell survives each round, (n - 1) // (capacity - 1).
    samples: architectures of the window that are scored in a round.
    extra: of a strip below it, which only tighten the front.
    drift: half of the window's width, a share of its middle. The published settings
      lack it.
    strip: width of the strip below the window, likewise.
    least: operations that join although a cell is full. With 0, as NSE has it, cells
      whose operations all survive never see the rest of their queue.
    retains: whether what the front uses stays in use. False is the control of it: then
      every round's operations are the next ones of the queues, and nothing is scored
      again.
    start: a found.json of an earlier search, of a space whose cells are these and whose
      operations have the same numbers: what its front uses is in use from the
      beginning. Empty for random operations.
  """

  kind: ClassVar[str] = "nse"
  trains: ClassVar[bool] = True

  capacity: Annotated[int, Domain(least=2, most=10)] = 5
  rounds: Whole = 0
  samples: Count = 2000
  extra: Whole = 100
  drift: Annotated[float, Domain(above=0, most=0.5)] = 0.04
  strip: Annotated[float, Domain(least=0, most=0.5)] = 0.033
  least: Whole = 0
  retains: bool = True
  start: str = ""

  def check(self) -> None:
    """Raises UserError if the options are unfit."""
    if not 2 <= self.capacity <= 10 or self.samples < 1 or not 0 < self.drift <= 0.5:
      raise UserError(
        f"search.strategy needs a capacity={self.capacity} from 2 to 10, "
        f"samples={self.samples} above 0 and a drift={self.drift:g} in (0, 0.5]."
      )

  def price_range(self, problem: Problem) -> tuple[float, float]:
    """From (1 - drift) to (1 + drift) times the middle; the end is the budget."""
    middle = self._middle(problem)
    return (1.0 - self.drift) * middle, problem.budget

  def _middle(self, problem: Problem) -> float:
    return problem.budget / (1.0 + self.drift)

  def count(self, problem: Problem) -> int:
    """The number of rounds."""
    if self.rounds:
      return self.rounds
    pools = cast(Divisible, problem.space).pools
    return option_pools.rounds(max(map(len, pools)), self.capacity)

  def warnings(self, problem: Problem) -> list[str]:
    """On operations that no round can show, and on a window that nothing is in."""
    pools = [len(pool) for pool in cast(Divisible, problem.space).pools]
    rounds, said = self.count(problem), []
    shown = self.capacity + (rounds - 1) * max(self.least, self.capacity - 1)
    seen = sum(min(pool, shown) for pool in pools)
    if seen < sum(pools):
      said.append(
        f"{rounds} rounds with {self.capacity} operations of a cell show at most "
        f"{seen:,} of {sum(pools):,}, and fewer where several survive a round: the "
        "others are never tried. Raise config.search.strategy.rounds or capacity."
      )
    low, high = self.price_range(problem)
    dearest = problem.price(problem.space.largest)
    if dearest < low:
      said.append(
        f"No architecture is in the window from {low:,.4g} to {high:,.4g}: the dearest "
        f"costs {dearest:,.4g}."
      )
    return said

  def expected(self, problem: Problem) -> int:
    """The architectures that are drawn in all rounds."""
    return self.count(problem) * (self.samples + self.extra)

  def search(self, problem: Problem) -> Questions:
    """Yields a `Round`, and what is scored by its weights; see `Strategy.search`."""
    random = np.random.default_rng(problem.seed)
    space = cast(Divisible, problem.space)
    pools = OptionPools.start(space.pools, random, self._begun(space))
    begun, front = pools.active, []
    for number in range(self.count(problem)):
      old = front if self.retains else []
      kept = begun if not number else _used(space, old, pools)
      if number:
        if not any(pools.pending):
          break
        pools = pools.keep(kept)
      pools = pools.refill(self.capacity, self.least)
      part = space.restricted(pools.active)
      learned = yield Round(part, kept, self._middle(problem), pools.coverage)
      draw = part.sample if learned is None else learned.sample
      inside = dataclasses.replace(problem, space=part)
      new, extra = self._drawn(inside, draw, number, random)
      asked = list(dict.fromkeys([*new, *old, *extra]))
      told = dict(zip(asked, (yield asked), strict=True))
      fresh, again, below = (
        [(a, {"price": problem.price(a), "top1": told[a]}) for a in group]
        for group in (new, [a for a in old if a not in new], extra)
      )
      front = nse_rules.retained(fresh, again, below)
      # Where all of the window is beaten from below, its own front is what there is.
      front = front or nse_rules.retained(fresh, again, [])
    return front

  def _begun(self, space: Divisible) -> list[list[int]]:
    """What is in use from the beginning: what the space needs, and `start` names.

    Raises:
      UserError: if the file cannot be read, or is of other cells.
    """
    needed = space.needed
    if not self.start:
      return needed
    try:
      text = Path(self.start).expanduser().read_text(encoding="utf-8")
      front = json.loads(text)["front"]
      used = [
        dict.fromkeys(k for row in rows for k in row)
        for rows in zip(*front, strict=True)
      ]
    except (OSError, ValueError, KeyError, TypeError) as error:
      raise UserError(
        f"search.strategy.start={self.start} has no front of a search: {error}."
      ) from None
    pools = space.pools
    if len(used) != len(pools) or any(
      not set(own) <= set(pool) for own, pool in zip(used, pools, strict=False)
    ):
      raise UserError(
        f"search.strategy.start={self.start} is of {len(used)} cells, or has "
        f"operations that this space lacks; it has {len(pools)} cells."
      )
    pairs = zip(needed, used, strict=True)
    return [list(dict.fromkeys([*must, *own])) for must, own in pairs]

  def _drawn(
    self,
    problem: Problem,
    draw: Callable[..., list[Any]],
    number: int,
    random: np.random.Generator,
  ) -> tuple[list[ArchEncoding], list[ArchEncoding]]:
    """The architectures of the window and of the strip below it, all different."""
    middle, stream = self._middle(problem), itertools.count()

    def one() -> list[ArchEncoding]:
      drawn = draw(problem.seed, number, next(stream), count=_DRAWN)
      return [problem.space.canonical(arch) for arch in drawn]

    new, extra = nse_rules.draw_window(
      one,
      problem.price,
      middle,
      # The rule's window is open, and what costs the budget is within it.
      self.drift * middle * (1.0 + 1e-9),
      self.samples,
      below=self.strip * middle,
      extra=self.extra,
    )
    # Nothing of a subset may cost so much; the search then goes on with what fits.
    return new or problem.drawn(random, self.samples), extra


def _used(
  space: Divisible, archs: Iterable[ArchEncoding], pools: OptionPools
) -> Options:
  """Of every pool what the space needs, and the options in use that archs have.

  What stands for a choice may have options that are not in use.
  """
  rows = [dict.fromkeys(own) for own in space.needed]
  for arch in archs:
    for row, own in zip(rows, space.used(arch), strict=True):
      row.update(dict.fromkeys(own))
  pairs = zip(rows, pools.active, strict=True)
  return tuple(
    tuple(option for option in row if option in active) for row, active in pairs
  )
