"""The shared weights of a search: those of the supernet, then those of each round."""

import dataclasses
from pathlib import Path
from typing import Any

from neural_epitome.config import Config
from neural_epitome.errors import UserError
from neural_epitome.runs.directory import RunDirectory
from neural_epitome.search import parts
from neural_epitome.search.evaluator import Answers
from neural_epitome.spaces import slicing
from neural_epitome.spaces.arch import Arch
from neural_epitome.spaces.chain_space import ChainSpace
from neural_epitome.training import loading, loop

Tree = Any


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
    model, self._options = parts.of(config)
    self._space: ChainSpace = model.space
    self._answers: Answers | None = None
    self.round = 0

  @property
  def directory(self) -> Path:
    """The run whose weights answer now."""
    name = f"search/round_{self.round}" if self.round else "supernet"
    return self._workdir / name

  def train(self, space: ChainSpace, *, is_answered: bool) -> None:
    """Trains the next round's, from random weights, on a part of the space.

    A round that is done is not trained again, one that was cut short goes on.

    Args:
      space: the part.
      is_answered: whether answers of these weights are known already.

    Raises:
      UserError: if they are known and the weights are gone, since weights that are
        trained again would give other answers.
      SystemExit: with code 143 after SIGTERM, as `loop.run` raises it.
    """
    self.round += 1
    self._answers = None
    if is_answered and not self.directory.exists():
      raise UserError(
        f"{self.directory} is gone, and {self.directory.parent} has answers of its "
        "weights; remove the latter to search again."
      )
    model = dataclasses.replace(self._config.model, space=space)
    config = dataclasses.replace(self._config, model=model, search=None)
    loop.run(config, self.directory, quiet=self._quiet)

  def of(self, arch: Arch) -> dict[str, float]:
    """See `Answers.of`."""
    return self._current().of(arch)

  def calibrated(self, arch: Arch) -> dict[str, Tree]:
    """See `Answers.calibrated`."""
    return self._current().calibrated(arch)

  def _current(self) -> Answers:
    """Loaded at first use: a search that is resumed may not need the first weights."""
    if self._answers is None:
      trained = loading.load(self.directory)
      self._answers = Answers(trained, self._with_choice, self._options)
    return self._answers

  def _with_choice(self, variables: Tree, arch: Arch) -> Tree:
    return slicing.with_choice(variables, self._space, arch)


def check_done(directory: Path) -> None:
  """Raises UserError if a supernet is not trained yet, naming the stage that does."""
  status = RunDirectory(directory).status
  if status != "done":
    how = "has diverged" if status == "diverged" else "is not done"
    raise UserError(
      f"{directory} {how}: --stages=supernet trains it (or leave --stages out)."
    )
