"""Examples that cannot be decoded: named, left out and counted, up to a limit.

In training a neighbour takes the place of such an example (`images.Augment`), in
evaluation its row is masked: batches keep their shape, and what they hold remains a
function of the position alone.
"""

import sys
from collections.abc import Iterable, Mapping

from tqdm import tqdm

from neural_epitome.errors import UserError


class BadExamples:
  """The examples of one split that cannot be decoded, as far as this process knows.

  Attributes:
    indices: their indices in the split, each once, however often it is read.
    untold: those that the other processes have not been told of, see `merge`.
  """

  def __init__(self, limit: int, known: Iterable[int] = ()):
    """Starts with the indices that are known.

    Args:
      limit: how many there may be.
      known: indices that earlier sessions met.
    """
    self._limit = limit
    self.indices = set(known)
    self.untold: set[int] = set()

  def note(self, bad: Mapping[int, str]) -> None:
    """Adds examples, and names those on stderr that are new.

    Args:
      bad: what is wrong with each, by its index in the split.

    Raises:
      UserError: if there are more than the limit.
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
    """Adds the indices that the processes have exchanged.

    Args:
      indices: the union of `untold` of all processes.

    Raises:
      UserError: if there are more than the limit, though no process met so many.
    """
    self.untold.clear()
    self.indices.update(indices)
    if len(self.indices) > self._limit:
      count = len(self.indices)
      raise UserError(
        too_many(f"{count} examples of a split cannot be decoded", self._limit, "")
      )


def too_many(fault: str, limit: int, excess: str = "one ") -> str:
  """The message that ends a run when the limit is passed.

  Args:
    fault: what is wrong, as the beginning of a sentence.
    limit: how many bad examples are allowed.
    excess: by how many the limit is passed, as a word with a space behind it, or "".
  """
  return (
    f"{fault}, {excess}more than config.data.maximum_bad_examples={limit}; repair the "
    "data set, or allow more."
  )
