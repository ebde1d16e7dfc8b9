"""Examples that cannot be decoded: named, left out, counted, and no more than so many.

In training a neighbour takes the place of such an example (`images.Augment`), in
evaluation its row is masked: batches keep their shape, and what they hold remains a
function of the position alone.
"""

import sys
from collections.abc import Iterable, Mapping

from tqdm import tqdm

from neural_epitome.errors import UserError


class BadExamples:
  """Those of one split that this process has met, or has been told of.

  Attributes:
    indices: in the split; each counts once, however often it comes.
    untold: those of them that other processes have not been told of.
  """

  def __init__(self, limit: int, known: Iterable[int] = ()):
    """Allows `limit` of them; those of an earlier session are `known`."""
    self._limit = limit
    self.indices = set(known)
    self.untold: set[int] = set()

  def note(self, bad: Mapping[int, str]) -> None:
    """Names new ones on stderr.

    Args:
      bad: what is wrong, by index in the split.

    Raises:
      UserError: if there are more than allowed.
    """
    for index, fault in bad.items():
      if index in self.indices:
        continue
      self.indices.add(index)
      self.untold.add(index)
      if len(self.indices) > self._limit:
        raise UserError(too_many(fault, self._limit))
      tqdm.write(f"Skipped: {fault}.", file=sys.stderr)

  def merge(self, indices: Iterable[int]) -> None:
    """Adds what the processes have told each other, in all of them the same.

    Raises:
      UserError: if there are more than allowed, though no process met so many.
    """
    self.untold.clear()
    self.indices.update(indices)
    if len(self.indices) > self._limit:
      count = len(self.indices)
      raise UserError(
        too_many(f"{count} examples of a split cannot be decoded", self._limit, "")
      )


def too_many(fault: str, limit: int, excess: str = "one ") -> str:
  """The message that ends a run, at the example that was one too many."""
  return (
    f"{fault}, {excess}more than config.data.maximum_bad_examples={limit}; repair the "
    "data set, or allow more."
  )
