"""The subset of a space that is trained now: options in use, options that wait.

The bookkeeping of NSE's rounds (Ci et al., arXiv 2011.10904). Every gene, or every cell
of a network with several operations, has options of which a few are in use at a time.
What the best choices of a round use stays, and others join from a queue. An option that
left never returns, so the search sees each once.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from neural_epitome.errors import UserError

Options = tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True)
class OptionPools:
  """Options of every gene; immutable.

  Attributes:
    active: in use.
    pending: of which none was in use yet, in the order in which they join.
    left: that were in use and are no more.
  """

  active: Options
  pending: Options
  left: Options

  @classmethod
  def start(
    cls,
    options: Sequence[Sequence[int]],
    random: np.random.Generator,
    active: Sequence[Sequence[int]] = (),
  ) -> "OptionPools":
    """All options wait, in an order that is drawn for each gene by itself.

    Args:
      options: of every gene.
      random: draws the orders.
      active: options of every gene that are in use from the beginning; () is none.
    """
    in_use = [tuple(gene) for gene in active] or [()] * len(options)
    pending = []
    for gene, own in zip(options, in_use, strict=True):
      waiting = [option for option in gene if option not in own]
      pending.append(tuple(random.permutation(waiting).tolist()))
    return cls(tuple(in_use), tuple(pending), ((),) * len(in_use))

  def keep(self, kept: Sequence[Sequence[int]]) -> "OptionPools":
    """Only these options stay in use; the others have left for good.

    Raises:
      ValueError: if one of them is not in use.
    """
    for gene, own in zip(self.active, kept, strict=True):
      if not set(own) <= set(gene):
        raise ValueError(f"{own} are kept, and {gene} were in use.")
    left = [
      (*before, *(option for option in gene if option not in own))
      for before, gene, own in zip(self.left, self.active, kept, strict=True)
    ]
    stay = tuple(tuple(dict.fromkeys(own)) for own in kept)
    return dataclasses.replace(self, active=stay, left=tuple(left))

  def refill(self, capacity: int, least: int = 0) -> "OptionPools":
    """Others join from the queues until every gene has its capacity.

    Args:
      capacity: options of a gene that are in use at most.
      least: how many join although a gene is full. With 0, as NSE has it, genes that
        stay full never see the rest of their queue: look at `coverage`.
    """
    active, pending = [], []
    for gene, queue in zip(self.active, self.pending, strict=True):
      count = max(least, capacity - len(gene), 0)
      active.append((*gene, *queue[:count]))
      pending.append(queue[count:])
    return dataclasses.replace(self, active=tuple(active), pending=tuple(pending))

  @property
  def coverage(self) -> float:
    """The share of all options that are, or were, in use."""
    waiting = sum(map(len, self.pending))
    seen = sum(map(len, self.active)) + sum(map(len, self.left))
    return seen / (seen + waiting)


def rounds(options: int, capacity: int) -> int:
  """NSE's number of rounds, (options - 1) // (capacity - 1), and at least 1.

  Also where one option survives of each round, those beyond the multiple never join: 2
  of 27 with a capacity of 5, 3 of 19 with 6. `OptionPools.coverage` tells.

  Args:
    options: of every cell.
    capacity: of them that are in use at a time.

  Raises:
    UserError: if the capacity is below 2, so that none would join.
  """
  if capacity < 2:
    raise UserError(
      f"A subset of {capacity} operations has no room for others beside the survivor; "
      "give it at least 2."
    )
  return max(1, (options - 1) // (capacity - 1))
