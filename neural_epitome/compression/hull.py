"""Choices that may be the best at some exchange rate of error for bytes."""

from collections.abc import Iterable

from neural_epitome.compression.choice import Choice


def lower(every: Iterable[Choice]) -> list[Choice]:
  """The choices on the lower convex hull of error against bytes, the smallest first."""
  kept: list[Choice] = []
  for choice in sorted(every, key=lambda one: (one.nbytes, one.error)):
    if kept and choice.error >= kept[-1].error:
      continue
    while len(kept) > 1 and _is_above(kept[-2], kept[-1], choice):
      kept.pop()
    kept.append(choice)
  return kept


def _is_above(first: Choice, middle: Choice, last: Choice) -> bool:
  """Whether the middle one does not lie below the line between the others."""
  share = (middle.nbytes - first.nbytes) / (last.nbytes - first.nbytes)
  return middle.error >= first.error + share * (last.error - first.error)
