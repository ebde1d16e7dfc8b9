"""NAT as a search: a given choice changed into a better one that is no dearer."""

import dataclasses
from typing import ClassVar

from neural_epitome.domains import Count, Whole
from neural_epitome.errors import UserError
from neural_epitome.spaces.gene_states import GeneStates
from neural_epitome.strategies import given, nat
from neural_epitome.strategies.base import Problem, Questions, Strategy
from neural_epitome.strategies.nat import Nat


@dataclasses.dataclass(frozen=True)
class NatSearch(Strategy):
  """Learns on random choices how to change one, and changes the given one.

  Its result is the given choice or one of its changes, which have no larger window,
  width or operation anywhere, and no higher price. What a search of another kind has
  found is a choice like any other.

  Attributes:
    given: path of a JSON file: what `Arch.to_json` returns, or a found.json. Empty for
      the largest choice of the space.
    steps: of learning; each asks for `learning.given * (1 + learning.drawn)` choices.
      0 draws allowed changes evenly, the control.
    learning: how it learns.
    changes: of the given choice, the best of which is taken.
  """

  kind: ClassVar[str] = "nat"

  given: str = ""
  steps: Whole = 10
  learning: Nat = Nat(given=2, drawn=4)
  changes: Count = 10

  def search(self, problem: Problem) -> Questions:
    """Yields what it learns from, then the given choice and its changes.

    Raises:
      UserError: if the file holds no choice of the space, or one above the budget.
    """
    start = problem.space.canonical(problem.space.largest)
    if self.given:
      start = given.read(self.given, problem, "search.strategy.given")
    if not problem.fits(start):
      raise UserError(
        f"What search.strategy.given={self.given!r} names costs "
        f"{problem.price(start):,.6g}, above the budget of {problem.budget:,.6g}; its "
        "changes cost no more than it does, so set config.search.share=1."
      )
    editor = GeneStates(problem.space, problem.price)
    asking = nat.questions(self.learning, editor, self.steps, problem.seed)
    values = None
    while True:
      try:
        batch = next(asking) if values is None else asking.send(values)
      except StopIteration as stop:
        state = stop.value
        break
      values = yield list(batch)
    changes = nat.offers(
      self.learning, state, editor, start, self.changes, problem.seed
    )
    yield [start, *changes]
    return [start, *changes]

  def expected(self, problem: Problem) -> int:
    """All questions, those that were asked before too."""
    del problem
    of_step = self.learning.given * (1 + self.learning.drawn)
    return self.steps * of_step + self.changes + 1
