"""The shared weights of a search: those of the supernet, then those of each round."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from neural_epitome.config import Config
from neural_epitome.errors import UserError
from neural_epitome.runs import directory as run_directory
from neural_epitome.runs.directory import RunDirectory
from neural_epitome.search import parts
from neural_epitome.search.evaluator import Answers
from neural_epitome.search.learned_gates import LearnedGates
from neural_epitome.strategies import Learned, Round
from neural_epitome.training import loading, loop
from neural_epitome.training.trained import Trained

Tree = Any
# In the directory of a round: what its gates did.
GATES = "gates.json"


class Weights:
  """Answers with the weights that were trained last.

  Attributes:
    round: how many rounds have begun; 0 is the supernet of the stage before.
  """

  def __init__(self, config: Config, workdir: Path, *, quiet: bool):
    """Reads nothing yet.

    Args:
      config: of the search.
      workdir: of the search; see `search.job`.
      quiet: whether training prints nothing.
    """
    self._config, self._workdir, self._quiet = config, workdir, quiet
    self._model, self._options = parts.of(config)
    self._trained: Trained | None = None
    self._answers: Answers | None = None
    self.round = 0

  @property
  def directory(self) -> Path:
    """The run whose weights answer now."""
    name = f"search/round_{self.round}" if self.round else "supernet"
    return self._workdir / name

  def train(self, asked: Round, *, is_answered: bool) -> Learned | None:
    """Trains the next round's, from random weights, on a part of the space.

    A round that is done is not trained again, one that was cut short goes on.

    Args:
      asked: the round.
      is_answered: whether answers of these weights are known already.

    Returns:
      The gates that were learned beside them, if there are some.

    Raises:
      UserError: if they are known and the weights are gone, since weights that are
        trained again would give other answers.
      SystemExit: with code 143 after SIGTERM, as `loop.run` raises it.
    """
    self.round += 1
    self._answers = self._trained = None
    if is_answered and not self.directory.exists():
      raise UserError(
        f"{self.directory} is gone, and {self.directory.parent} has answers of its "
        "weights; remove the latter to search again."
      )
    gates = parts.gates(self._config, asked.target)
    model = self._model.in_round(asked.space, asked.kept, gates)
    # The weights of a round are drawn anew, as its data are.
    seed = self._config.training.seed + self.round
    training = dataclasses.replace(self._config.training, seed=seed)
    config = dataclasses.replace(
      self._config, model=model, training=training, search=None
    )
    loop.run(config, self.directory, quiet=self._quiet)
    if gates is None:
      return None
    learned = LearnedGates(asked.space, self._loaded().variables["policy"])
    # Writes the same again in a search that is resumed.
    path = self.directory / GATES
    run_directory.write(path, json.dumps(learned.to_json()) + "\n")
    return learned

  def of(self, arch: Any) -> dict[str, float]:
    """See `Answers.of`."""
    return self._current().of(arch)

  def calibrated(self, arch: Any) -> dict[str, Tree]:
    """See `Answers.calibrated`."""
    return self._current().calibrated(arch)

  def _loaded(self) -> Trained:
    """At first use: a search that is resumed may not need the first weights."""
    if self._trained is None:
      self._trained = loading.load(self.directory)
    return self._trained

  def _current(self) -> Answers:
    if self._answers is None:
      with_choice = self._model.with_choice
      self._answers = Answers(self._loaded(), with_choice, self._options)
    return self._answers


def check_done(directory: Path) -> None:
  """Raises UserError if a supernet is not trained yet, naming the stage that does."""
  status = RunDirectory(directory).status
  if status != "done":
    how = "has diverged" if status == "diverged" else "is not done"
    raise UserError(
      f"{directory} {how}: --stages=supernet trains it (or leave --stages out)."
    )
