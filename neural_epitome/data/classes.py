"""Lists of class names, of a network and of data, matched by name.

A label is the index of a name in a sorted list, so renaming one folder changes the
labels of all classes that sort behind it. Wherever two lists meet, `labels` and
`difference` compare their names.
"""

import unicodedata
from collections.abc import Sequence

Classes = Sequence[str]


def normal(name: str) -> str:
  """The name in Unicode's normal form C, in which names are compared."""
  return unicodedata.normalize("NFC", name)


def are_names(classes: Classes) -> bool:
  """Whether classes have names, not just the numbers "0", "1", ... in their place."""
  return tuple(classes) != tuple(map(str, range(len(classes))))


def labels(theirs: Classes, mine: Classes) -> tuple[int, ...] | None:
  """Matches two lists of classes by name.

  If one of the lists has numbers for names (see `are_names`) and both are equally long,
  each label is matched with itself.

  Args:
    theirs: the list whose labels are returned.
    mine: the list that is matched.

  Returns:
    For each class of `mine` its label in `theirs`; None if one is not in `theirs`, or a
    name occurs twice in a list.
  """
  theirs, mine = list(map(normal, theirs)), list(map(normal, mine))
  if theirs == mine or _is_by_number(theirs, mine):
    return tuple(range(len(mine)))
  places = {name: label for label, name in enumerate(theirs)}
  # A name that stands twice names no class.
  if len(places) < len(theirs) or len(set(mine)) < len(mine):
    return None
  if not places.keys() >= set(mine):
    return None
  return tuple(places[name] for name in mine)


def difference(theirs: Classes, mine: Classes) -> str:
  """How two lists of classes differ, in words; "" if they are the same.

  If one of the lists has numbers for names, only their lengths are compared.

  Args:
    theirs: the list that the words call `there`.
    mine: the list that the words call `here`.
  """
  theirs, mine = list(map(normal, theirs)), list(map(normal, mine))
  if theirs == mine or _is_by_number(theirs, mine):
    return ""
  if not (are_names(theirs) and are_names(mine)):
    return f"{len(theirs)} classes there, {len(mine)} here"
  parts = [
    f"{_some(only)} only {where}"
    for where, names, others in (
      ("there", theirs, set(mine)),
      ("here", mine, set(theirs)),
    )
    if (only := [name for name in names if name not in others])
  ]
  if parts:
    return ", ".join(parts)
  pairs = enumerate(zip(theirs, mine, strict=False))
  label = next((i for i, (their, my) in pairs if their != my), None)
  if label is None:  # a name stands twice
    return f"{len(theirs)} classes there, {len(mine)} here"
  return f"class {label} is {theirs[label]!r} there, {mine[label]!r} here"


def _is_by_number(theirs: list[str], mine: list[str]) -> bool:
  has_names = are_names(theirs) and are_names(mine)
  return len(theirs) == len(mine) and not has_names


def _some(names: Sequence[str]) -> str:
  more = f" and {len(names) - 2} more" if len(names) > 3 else ""
  return ", ".join(map(repr, names[: 2 if more else 3])) + more
