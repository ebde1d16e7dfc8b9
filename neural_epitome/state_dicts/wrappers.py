"""Which of the arrays in a file are the network's weights, and their names.

A checkpoint holds more than weights: an optimiser's moments, averaged copies, counters.
Trainers nest them in dictionaries and put prefixes before the names, in any order. No
list of those is kept here: the weights are the dictionary with the most floating-point
numbers, and a prefix is what all their names begin with.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from neural_epitome.errors import UserError
from neural_epitome.state_dicts import candidates, leaves
from neural_epitome.state_dicts.candidates import Candidate, Path, form, prefix_of
from neural_epitome.state_dicts.leaves import Leaf, shown

_SOME = 3


@dataclasses.dataclass(frozen=True)
class Chosen:
  """The weights of a file.

  Attributes:
    leaves: by name, without what all names begin with.
    paths: where each lies in the file: keys of dictionaries, its full name last.
    note: what of the file this is, after `takes`; empty if it is all of it.
  """

  leaves: Mapping[str, Leaf]
  paths: Mapping[str, Path]
  note: str = ""


def choose(tree: Any, separator: str | None) -> Chosen:
  """The weights among all that a file holds.

  Args:
    tree: nested mappings with a `Leaf` for every array; all else is left out.
    separator: of the parts of a name where one mapping holds all weights of a network,
      as torch's state dicts do; None where layers are nested mappings.

  Raises:
    UserError: if there are none; the sentence wants the file's name before it.
  """
  if separator is None:
    every = list(candidates.nested(tree))
  else:
    every = list(candidates.flat(tree, separator))
  is_nested, separator = separator is None, separator or "/"
  if not any(one.size for one in every):
    raise UserError("holds no floating-point arrays by name.")
  best = form(max(every, key=lambda one: one.size).leaves, separator)
  copies = [one for one in every if form(one.leaves, separator) == best]
  # Of two copies of the same weights the averaged one is the better network.
  chosen = next((one for one in copies if one.is_averaged), copies[0])
  prefix = prefix_of(chosen.leaves, separator)
  names = {full: full.removeprefix(prefix) for full in chosen.leaves}
  for name in (*names, *names.values()):
    leaves.check_name(name)
  others = [one for one in every if one is not chosen and 100 * one.size > chosen.size]
  return Chosen(
    {names[full]: leaf for full, leaf in chosen.leaves.items()},
    {names[full]: path for full, path in chosen.paths.items()},
    _note(chosen, "" if is_nested else prefix.rstrip(separator), others),
  )


def _note(chosen: Candidate, prefix: str, others: list[Candidate]) -> str:
  """Where in the file the weights are, and what was left out."""
  if not chosen.keys and not prefix and not others:
    return ""
  where = ".".join(filter(None, (*chosen.keys, prefix)))
  rest = [shown(".".join(one.keys)) if one.keys else "the rest" for one in others]
  more = ", ..." if len(rest) > _SOME else ""
  left = f"; left out: {', '.join(rest[:_SOME])}{more}" if rest else ""
  return (shown(where) if where else "what is not nested") + left
