"""NetAdaptV2's multi-layer coordinate descent, and NetAdapt's of single layers.

NetAdaptV2 (arXiv 2104.00031), section 2.4, in the completion of its published text;
NetAdapt (arXiv 1804.03230), algorithm 1, is the same with one layer a candidate and one
candidate a layer. Any price will do, it need not be differentiable.
"""

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from neural_epitome.domains import Count, Domain
from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.strategies.base import Problem, Questions, Strategy

_EPSILON_ACCURACY, _EPSILON_PRICE = 1e-6, 1e-5


@dataclasses.dataclass(frozen=True)
class NetAdapt(Strategy):
  """Comes down from the largest choice, each time by the candidate that loses least.

  Of the candidates of an iteration the one is kept whose loss of accuracy is smallest
  for what it saves.

  Attributes:
    layers: blocks that a candidate makes cheaper; 1 is NetAdapt, each block in turn.
    samples: candidates an iteration, where `layers` is above 1.
    reduction: of the price in the first iteration, as a share of the largest's.
    decay: factor of the reduction from one iteration to the next.
    iterations: the most that there are; fewer where the budget is met before.
  """

  kind: ClassVar[str] = "netadapt"

  layers: Count = 3
  samples: Count = 16
  reduction: Annotated[float, Domain(above=0, below=1)] = 0.06
  decay: Annotated[float, Domain(above=0, most=1)] = 0.98
  iterations: Count = 200

  def check(self) -> None:
    """Raises UserError if the options are unfit."""
    if self.layers < 1 or self.samples < 1 or not 0 < self.reduction < 1:
      raise UserError(
        f"search.strategy needs layers={self.layers} and samples={self.samples} above "
        f"0, and reduction={self.reduction} between 0 and 1."
      )

  def search(self, problem: Problem) -> Questions:
    """Yields the candidates of one iteration after the other; see `Strategy.search`.

    Raises:
      UserError: if the iterations end above the budget.
    """
    random = np.random.default_rng(problem.seed)
    arch = problem.space.largest
    price = largest = problem.price(arch)
    [accuracy] = yield [arch]
    for iteration in range(self.iterations):
      if price <= problem.budget:
        return
      step = self.reduction * largest * self.decay**iteration
      target = max(problem.budget, price - step)
      candidates = self._candidates(problem, random, arch, target)
      while not candidates and price - target > _EPSILON_PRICE * largest:
        # No block alone saves so much: smaller steps until one does.
        target = (price + target) / 2
        candidates = self._candidates(problem, random, arch, target)
      if not candidates:
        raise UserError(
          f"search.strategy.layers={self.layers}: no step of so many blocks comes down "
          f"from {price:,.4g}, above the budget of {problem.budget:,.4g}; raise it, or "
          "search.strategy.samples."
        )
      answers = yield candidates
      prices = [problem.price(candidate) for candidate in candidates]
      best = min(
        range(len(candidates)),
        key=lambda i: (
          (accuracy - answers[i] + _EPSILON_ACCURACY)
          / (price - prices[i] + _EPSILON_PRICE * largest)
        ),
      )
      arch, price, accuracy = candidates[best], prices[best], answers[best]
    if price > problem.budget:
      raise UserError(
        f"search.strategy.iterations={self.iterations} end at {price:,.4g}, above the "
        f"budget of {problem.budget:,.4g}; raise them or search.strategy.reduction."
      )

  def expected(self, problem: Problem) -> int:
    """The candidates of as many iterations as the reductions need for the budget."""
    left = 1.0 - problem.budget / problem.price(problem.space.largest)
    iterations = 0
    while left > 0 and iterations < self.iterations:
      left -= self.reduction * self.decay**iterations
      iterations += 1
    single = self.layers == 1
    return 1 + iterations * (problem.space.places if single else self.samples)

  def _candidates(
    self,
    problem: Problem,
    random: np.random.Generator,
    arch: ArchEncoding,
    target: float,
  ) -> list[ArchEncoding]:
    """Different choices at or below a price, each with a few blocks made cheaper."""
    blocks = problem.space.places
    if self.layers == 1:
      chosen = [[block] for block in range(blocks)]
    else:
      count = min(self.layers, blocks)
      chosen = [
        random.choice(blocks, count, replace=False).tolist()
        for _ in range(self.samples)
      ]
    unseen: dict[ArchEncoding, None] = {}
    for members in chosen:
      shares = np.zeros(blocks)
      shares[members] = random.dirichlet(np.ones(len(members)))
      candidate = problem.shrunk(arch, random, target, shares)
      if candidate is not None:
        unseen[candidate] = None
    return list(unseen)
