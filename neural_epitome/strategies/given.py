"""A choice that somebody has made: nothing is searched for."""

import dataclasses
import json
from typing import ClassVar

from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.strategies.base import Problem, Questions, Strategy


@dataclasses.dataclass(frozen=True)
class Given(Strategy):
  """Asks for one choice: that of a file.

  A choice from another search, or one that is written by hand, is thus evaluated, cut
  out of the supernet and trained as the result of a search is.

  Attributes:
    path: of a JSON file: what `Arch.to_json` returns, or a found.json, which has that
      under `arch`.
  """

  kind: ClassVar[str] = "given"

  path: str = ""

  def search(self, problem: Problem) -> Questions:
    """Yields the file's choice; see `Strategy.search`.

    Raises:
      UserError: if the file cannot be read, or holds no choice of the space.
    """
    yield [read(self.path, problem, "search.strategy.path")]

  def expected(self, problem: Problem) -> int:
    """One choice."""
    del problem
    return 1


def read(path: str, problem: Problem, where: str) -> ArchEncoding:
  """The choice of a file.

  Args:
    path: of a JSON file: what `ArchEncoding.to_json` returns, or a found.json, which
      has that under `arch`.
    problem: of whose space it is a choice.
    where: the option that names the file, for an error.

  Raises:
    UserError: if the file cannot be read, or holds no choice of the space.
  """
  try:
    with open(path, encoding="utf-8") as file:
      data = json.load(file)
  except (OSError, ValueError) as error:
    raise UserError(f"{where}={path!r} cannot be read: {error}.") from None
  # A found.json has it beside its accuracy and price.
  if isinstance(data, dict) and isinstance(data.get("arch"), dict):
    data = data["arch"]
  return problem.space.from_json(data, path)
