"""Given cells made better at no higher price: `ne.CellTransformer`.

    given = ne.load_cells("darts")             # or a JSON file of your own
    learned = ne.CellTransformer().learn(evaluate, steps=300)
    better = learned.transform(given, evaluate)
    better.found.to_json(), learned.prices(better.found)

`evaluate` is yours: it is given a list of networks and returns how good each is.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any

from neural_epitome.errors import UserError
from neural_epitome.models.cell_operations import Rule
from neural_epitome.models.cells import Cells
from neural_epitome.spaces.cell_prices import CellPrices, load_latencies
from neural_epitome.spaces.cell_states import CellSpace, CellStates, described
from neural_epitome.strategies import nat, nat_files
from neural_epitome.strategies.nat import Evaluate, Nat, Transformed
from neural_epitome.strategies.policies.policy_gradient import State

# Steps between two times that a policy is saved.
_SAVED = 20


@dataclasses.dataclass(frozen=True)
class CellTransformer:
  """Changes cells so that they get better and no dearer; see `strategies.nat`.

  No change of a pair of cells has more parameters or multiply-adds, or takes longer by
  the table of latencies: what would is never drawn.

  Attributes:
    space: how many nodes and edges the cells have at most, which random ones it learns
      on, and the network that cells are stacked to (`space.frame`).
    rule: what operations may become: `two_levels`, of NAT++ (arXiv 2102.10301), or
      `same_skip_null`, of NAT (arXiv 1910.14488).
    latencies: path of a JSON list of measured times, see `cell_prices.load_latencies`;
      empty for none.
    options: of the policy and of how it learns.
    seed: of the policy and of what it learns on.
    state: what it has learned; None for nothing, by which allowed changes are drawn
      evenly.
  """

  space: CellSpace = CellSpace()
  rule: Rule = "two_levels"
  latencies: str = ""
  options: Nat = Nat()
  seed: int = 0
  state: State | None = None

  @functools.cached_property
  def _editor(self) -> CellStates:
    table = load_latencies(self.latencies) if self.latencies else None
    return CellStates(self.space, CellPrices(self.space.frame, table), self.rule)

  @property
  def _about(self) -> dict[str, Any]:
    """What a saved policy depends on."""
    parts = {
      field.name: getattr(self, field.name) for field in dataclasses.fields(self)
    }
    parts["latencies"] = str(parts["latencies"])
    del parts["state"]
    return parts

  def learn(
    self, evaluate: Evaluate, steps: int = 300, path: str | Path | None = None
  ) -> "CellTransformer":
    """Learns on random cells; the one that is returned has learned.

    Args:
      evaluate: given a list of `Cells`, returns as many numbers, the more the better.
        It is called once a step, for random cells and for changes of them.
      steps: in all, those of a state that it goes on from among them.
      path: of a file, in which the policy is saved as it learns, and from which it goes
        on if the file is there: exactly, if `evaluate` answers the same.

    Raises:
      UserError: if the file is of another policy, or `evaluate` returns another number
        of values.
    """
    start = self.state or nat.start(self.options, self._editor, self.seed)
    if path is not None and Path(path).exists():
      start = nat_files.load(path, start, self._about)

    def save(state: State, reward: float) -> None:
      del reward
      if path is not None and (int(state.step) % _SAVED == 0 or state.step == steps):
        nat_files.save(path, state, self._about)

    learned = nat.learn(
      self.options,
      self._editor,
      _counted(evaluate),
      steps,
      self.seed,
      start,
      save,
    )
    return dataclasses.replace(self, state=learned)

  def transform(
    self, given: Cells, evaluate: Evaluate, count: int = 10, seed: int = 0
  ) -> Transformed:
    """Draws changes of cells, and takes the best; the given ones if none is better.

    Args:
      given: of `load_cells`, or made in Python.
      evaluate: as that of `learn`. It chooses, so it must not see the test set.
      count: changes.
      seed: of what is drawn.

    Raises:
      UserError: if the cells are too large for the space.
    """
    state = self.state or nat.start(self.options, self._editor, self.seed)
    return nat.transform(
      self.options, state, self._editor, given, _counted(evaluate), count, seed
    )

  def prices(self, cells: Cells) -> dict[str, float]:
    """`parameters` and `madds` of a network's operations, `latency_ms` with a table."""
    return self._editor.prices.of(cells)

  def changes(self, result: Transformed) -> list[str]:
    """What was exchanged, a line an edge: 'normal 0->3: sep_conv_3x3 => skip'."""
    return described(result.given, result.found)


def _counted(evaluate: Evaluate) -> Evaluate:
  """Raises UserError where the number of values is wrong."""

  def checked(archs: Any) -> list[float]:
    values = [float(value) for value in evaluate(archs)]
    if len(values) != len(archs):
      raise UserError(
        f"evaluate was given {len(archs)} networks and returned {len(values)} values; "
        "return one for each."
      )
    return values

  return checked
