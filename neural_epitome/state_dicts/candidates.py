"""Dictionaries in a file that may be the weights of a network, and names in them."""

import dataclasses
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from neural_epitome.errors import UserError
from neural_epitome.state_dicts.leaves import Leaf

Path = tuple[str, ...]
_AVERAGED = re.compile(r"(^|[^a-z])(ema|avg|averaged?|swa|polyak)([^a-z]|$)")
# Flax's word for the collection of what is trained.
_PARAMS = re.compile(r"(^|_)params(_|$)")
# What NNX puts below the name of every array.
_VALUE = "value"
# Keys of a trainer before its weights.
_DEEPEST = 8


@dataclasses.dataclass(frozen=True)
class Candidate:
  """What may be the weights.

  Attributes:
    keys: of the dictionaries that it lies in.
    leaves: by full names.
    paths: places of all in the file, by their full names.
  """

  keys: Path
  leaves: Mapping[str, Leaf]
  paths: Mapping[str, Path]

  @property
  def size(self) -> int:
    """How many numbers may be trained, or are quantised."""
    weights = (
      one for one in self.leaves.values() if one.is_floating or not one.is_known
    )
    return sum(leaf.size for leaf in weights)

  @property
  def is_averaged(self) -> bool:
    """Whether it is called the average of weights over steps."""
    return any(_AVERAGED.search(key.lower()) for key in self.keys)


def _mappings(tree: Any) -> Iterator[tuple[Path, Mapping]]:
  """All nested mappings under keys that are words; optimisers number what they hold."""
  waiting: deque[tuple[Path, Any]] = deque([((), tree)])
  seen: set[int] = set()
  while waiting:
    keys, one = waiting.popleft()
    if not isinstance(one, Mapping) or id(one) in seen or len(keys) > _DEEPEST:
      continue  # a dictionary may hold itself
    seen.add(id(one))
    yield keys, one
    for key, inner in one.items():
      if isinstance(key, str) and not key.isdigit():
        waiting.append(((*keys, key), inner))


def flat(tree: Any, separator: str) -> Iterator[Candidate]:
  """Mappings of names to arrays, as torch's state dicts."""
  for keys, one in _mappings(tree):
    named = {
      key: leaf
      for key, leaf in one.items()
      if isinstance(key, str) and isinstance(leaf, Leaf)
    }
    copies = _copied(named, separator)
    rest = {name: leaf for name, leaf in named.items() if name not in copies}
    for above, arrays in ((keys, rest), ((*keys, *set(copies.values())), copies)):
      chosen = {name: named[name] for name in arrays}
      if chosen:
        yield Candidate(above, chosen, {name: (*keys, name) for name in chosen})


def _copied(arrays: Mapping[str, Leaf], separator: str) -> dict[str, str]:
  """Weights whose averages stand beside them under another prefix, and their prefix."""
  groups: dict[str, dict[str, Leaf]] = {}
  for name, leaf in arrays.items():
    groups.setdefault(name.split(separator)[0], {})[name] = leaf
  forms = {
    first: frozenset(form(group, separator).items()) for first, group in groups.items()
  }
  averaged = {first for first in groups if _AVERAGED.search(first.lower())}
  replaced = {forms[first] for first in averaged if forms[first]}
  return {
    name: first
    for first, group in groups.items()
    if first not in averaged and forms[first] in replaced
    for name in group
  }


def nested(tree: Any) -> Iterator[Candidate]:
  """Flax's variables: a collection of parameters, and the collections beside it."""
  is_found = False
  for keys, one in _mappings(tree):
    names = [key for key in one if isinstance(key, str) and _PARAMS.search(key)]
    if not names or any(_PARAMS.search(key) for key in keys):
      continue
    collections = {
      str(key): dict(_below(inner))
      for key, inner in one.items()
      if isinstance(inner, Mapping)
    }
    for key in names:
      params = collections.get(key)
      if not params:
        continue
      is_found = True
      beside = {
        other: arrays
        for other, arrays in collections.items()
        if not any(_mirrors(path, params) for path in arrays)
      }
      yield _joined((*keys, key), keys, {key: params} | beside)
  if not is_found and isinstance(tree, Mapping):
    yield _joined((), (), {"": dict(_below(tree))})


def _mirrors(path: Path, params: Mapping[Path, Leaf]) -> bool:
  """Whether an array is named as a parameter is, as its moments and averages are."""
  return any(path[start:] in params for start in range(len(path)))


def _joined(
  keys: Path, above: Path, collections: Mapping[str, Mapping[Path, Leaf]]
) -> Candidate:
  arrays = {
    (*above, *filter(None, (collection,)), *path): leaf
    for collection, inner in collections.items()
    for path, leaf in inner.items()
  }
  is_nnx = all(path[-1] == _VALUE for path in arrays)
  names = {path: "/".join(path[:-1] if is_nnx else path) for path in arrays}
  if len(set(names.values())) < len(names):
    raise UserError("has two arrays of one name: a name of a layer has / in it.")
  return Candidate(
    keys,
    {names[path]: leaf for path, leaf in arrays.items()},
    {name: path for path, name in names.items()},
  )


def _below(tree: Any) -> Iterator[tuple[Path, Leaf]]:
  """All arrays below a mapping, by their keys."""
  waiting: list[tuple[Path, Any]] = [((), tree)]
  while waiting:
    keys, one = waiting.pop()
    if isinstance(one, Leaf):
      yield keys, one
    elif isinstance(one, Mapping):
      waiting += [((*keys, str(key)), inner) for key, inner in [*one.items()][::-1]]


def common_prefix(names: Iterable[str], separator: str) -> str:
  """What all names begin with, whole parts of them.

  The last part of a name is its own, and what is the name of the only layer is that's.
  """
  split = [name.split(separator) for name in names]
  common = []
  for parts in zip(*(parts[:-1] for parts in split), strict=False):
    if len(set(parts)) > 1 or not parts[0]:
      break
    common.append(parts[0])
  if all(len(parts) == len(common) + 1 for parts in split):
    common = common[:-1]
  return "".join(part + separator for part in common)


def prefix_of(arrays: Mapping[str, Leaf], separator: str) -> str:
  """The prefix of all arrays with axes; counters that trainers add may lack it."""
  with_axes = [n for n, leaf in arrays.items() if leaf.is_floating and leaf.shape]
  prefix = common_prefix(with_axes, separator)
  names = {name.removeprefix(prefix) for name in arrays}
  return prefix if len(names) == len(arrays) else ""


def form(arrays: Mapping[str, Leaf], separator: str) -> dict[str, tuple[int, ...]]:
  """By what copies are known: names without prefixes, and shapes, of arrays."""
  prefix = prefix_of(arrays, separator)
  return {
    name.removeprefix(prefix): leaf.shape
    for name, leaf in arrays.items()
    if leaf.is_floating and leaf.shape
  }
