"""The smallest network of a space."""

import dataclasses
from typing import ClassVar

from neural_epitome.strategies import Strategy


@dataclasses.dataclass(frozen=True)
class Smallest(Strategy):
  """Asks for the smallest choice, and for nothing else."""

  kind: ClassVar[str] = "smallest"

  def search(self, problem):
    """See `Strategy.search`."""
    yield [problem.space.smallest]

  def expected(self, problem):
    """See `Strategy.expected`."""
    return 1
