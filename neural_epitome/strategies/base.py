"""The interface of a search strategy: a generator of questions, sent their answers.

    questions = strategy.search(problem)
    archs = next(questions)
    while True:
      archs = questions.send([accuracy of each])      # StopIteration: it is done

A question of another kind is a `Round`: from there on other weights answer. What the
generator returns are the choices of which the result is one, None for all that it has
asked for.

A strategy is a pure function of the problem and the answers. So it needs no state of
its own on disk: given the answers of a log again, it asks the same questions and goes
on where it stopped, on every host alike.
"""

import abc
import dataclasses
import math
from collections.abc import Callable, Generator, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from neural_epitome import codec
from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.spaces.space import Divisible, Space

# Draws that may fail to fit a budget before it is said to be too low.
_DRAWS = 200
# Looked ahead, where one step makes nothing cheaper.
_STEPS = 4


@dataclasses.dataclass(frozen=True)
class Round:
  """Asks for new weights, trained on a part of the space; sent `Learned`, or None.

  All further accuracies are measured with these weights and do not compare with
  earlier ones, so a strategy asks again for a choice of an earlier round that it keeps.

  Attributes:
    space: the part of the space that they are trained on.
    kept: of every pool, options that training may not drop; () is none.
    target: price that a policy is to aim at while it trains; 0 is none.
    coverage: share of all options that are, or were, in use; NaN if it is not told.
  """

  space: Divisible
  kept: tuple[tuple[int, ...], ...] = ()
  target: float = 0.0
  coverage: float = math.nan


class Learned(Protocol):
  """What was learned beside the weights of a round: choices are drawn from it."""

  def sample(self, seed: int, *stream: int, count: int) -> list[Any]:
    """Choices drawn from it; the same for the same arguments."""
    ...


# Returns the choices of which the result is one; None takes all of the last round.
Questions = Generator[list[ArchEncoding] | Round, Any, Sequence[ArchEncoding] | None]


@dataclasses.dataclass(frozen=True)
class Problem:
  """What a search is for: the most accurate choice within a budget.

  Attributes:
    space: the choices.
    price: of one, in the metric of the budget.
    budget: the most that the answer may cost; above the price of `space.smallest`.
    seed: of everything that is drawn.
  """

  space: Space
  price: Callable[[Any], float]
  budget: float
  seed: int = 0

  def fits(self, arch: ArchEncoding) -> bool:
    """Whether a choice is within the budget."""
    return self.price(arch) <= self.budget

  def shrunk(
    self,
    arch: ArchEncoding,
    random: np.random.Generator,
    target: float,
    shares: np.ndarray | None = None,
  ) -> ArchEncoding | None:
    """A choice at or below a price, made cheaper one step of one gene at a time.

    Args:
      arch: where it starts.
      random: draws the steps.
      target: the price.
      shares: (blocks,) how often each block is the one; even if None.

    Returns:
      None if the blocks with a share cannot become so cheap.
    """
    price = self.price(arch)
    left = np.ones(self.space.places) if shares is None else shares.copy()
    while price > target:
      if not left.any():
        return None
      block = int(random.choice(len(left), p=left / left.sum()))
      steps = self._cheaper(arch, block, price)
      if not steps:
        left[block] = 0.0
        continue
      price, arch = steps[int(random.integers(len(steps)))]
    return arch

  def _cheaper(
    self, arch: ArchEncoding, block: int, price: float
  ) -> list[tuple[float, ArchEncoding]]:
    """The choices below a price by fewest steps of a block, each with its own.

    Measured times need not fall with every step: a narrower block may be slower.
    """
    seen, reached = {arch}, [arch]
    for _ in range(_STEPS):
      further = [other for one in reached for other in self.space.smaller(one, block)]
      reached = [other for other in dict.fromkeys(further) if other not in seen]
      seen.update(reached)
      steps = [(own, other) for other in reached if (own := self.price(other)) < price]
      if steps or not reached:
        return steps
    return []

  def drawn(self, random: np.random.Generator, count: int) -> list[ArchEncoding]:
    """Different choices within the budget, shrunk to it where they cost more."""
    drawn_archs: dict[ArchEncoding, None] = {}
    for _ in range(_DRAWS):
      stream = int(random.integers(2**31))
      for arch in self.space.sample(self.seed, stream, count=count):
        fitting = self.shrunk(arch, random, self.budget)
        if fitting is not None:
          drawn_archs[fitting] = None
        if len(drawn_archs) == count:
          return list(drawn_archs)
    return list(drawn_archs)


class Strategy(codec.Variant, abc.ABC):
  """A way to search; each arm is a frozen dataclass in a file of its own.

  Attributes:
    trains: whether it begins with a `Round`, and so needs no supernet beforehand.
  """

  plugin_group: ClassVar[str] = "strategies"
  trains: ClassVar[bool] = False

  def check(self) -> None:
    """Raises UserError, naming the option, if there is no such search."""
    del self

  @abc.abstractmethod
  def search(self, problem: Problem) -> Questions:
    """Yields lists of choices, and is sent their accuracies in the same order.

    The result of a search is the most accurate of these choices that fits the budget.
    A strategy that comes down to the budget step by step must therefore ask for the
    choice at which it ends, too.
    """

  def price_range(self, problem: Problem) -> tuple[float, float]:
    """The prices between which it looks for its result."""
    return 0.0, problem.budget

  def warnings(self, problem: Problem) -> list[str]:
    """Sentences on options that are allowed and seldom meant."""
    del problem
    return []

  @abc.abstractmethod
  def expected(self, problem: Problem) -> int:
    """About how many choices it will ask for, for a display of progress."""
