"""Kernels stored in a budget, each in the way that its measured error says.

Errors of kernels add up, and so do their bytes. So one exchange rate between the two
decides for all of them: see `planning.lagrangian`.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from neural_epitome.compression import choices, hull
from neural_epitome.compression.choice import Choice, Stored
from neural_epitome.compression.storage import COMPACT, Storage
from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.error_feedback import Inputs
from neural_epitome.epitome.plan import Plan
from neural_epitome.errors import UserError
from neural_epitome.planning import lagrangian

# Trials of meeting the budget by what files take in fact, which is known afterwards.
_TRIALS = 8
# Trials of spending what is left over on starts that are dearer.
_FINER = 4
# Part of the budget that may be left over.
_LEFT = 0.003


class TooSmall(UserError):
  """A budget that cannot be met.

  Attributes:
    smallest: bytes of the smallest file.
  """

  def __init__(self, budget: int, smallest: int) -> None:
    """What was asked for, and what there is."""
    super().__init__(
      f"budget={budget:,} bytes cannot be met: the smallest file that is worth "
      f"anything takes {smallest:,}."
    )
    self.smallest = smallest


class Solution(NamedTuple):
  """Kernels as they are stored.

  Attributes:
    plan: of all of them, with the bits of their tensors.
    stored: by path.
    nbytes: of the file.
  """

  plan: Plan
  stored: Mapping[str, Stored]
  nbytes: int


def compare(
  kernels: Mapping[str, np.ndarray],
  shown: Callable[[Iterable[str]], Iterable[str]] = iter,
  storage: Storage = COMPACT,
  inputs: Mapping[str, Inputs] | None = None,
  ways: choices.Ways = "best",
) -> dict[str, list[Choice]]:
  """The choices of every kernel that may be the best at some exchange rate.

  Args:
    kernels: float32 (*window, Cin, Cout), by path.
    shown: iterates over the paths, with a progress bar maybe.
    storage: what the file can do.
    inputs: what kernels read, by path, of those of which it is known.
    ways: that are compared.
  """
  read = inputs or {}
  return {
    path: hull.lower(choices.compare(kernels[path], storage, read.get(path), ways))
    for path in shown(kernels)
  }


def fit(
  kernels: Mapping[str, np.ndarray],
  inventory: Inventory,
  tables: Mapping[str, list[Choice]],
  budget: int,
  file_bytes: Callable[[Plan, Mapping[str, Stored]], int],
  sensitivity: Mapping[str, float] | None = None,
  storage: Storage = COMPACT,
  inputs: Mapping[str, Inputs] | None = None,
) -> Solution:
  """The kernels stored in so many bytes, with the least sum of errors that was met.

  Args:
    kernels: as of `compare`.
    inventory: of the tree.
    tables: from `compare`.
    budget: bytes of the file.
    file_bytes: of a file with this plan and these kernels, everything in it.
    sensitivity: what each kernel's error counts; 1 by default.
    storage: as of `compare`.
    inputs: as of `compare`.

  Raises:
    TooSmall: if the budget is below what the smallest choices take.
  """
  paths = list(kernels)
  weights = [(sensitivity or {}).get(path, 1.0) for path in paths]
  losses = [
    [weight * choice.error for choice in tables[path]]
    for path, weight in zip(paths, weights, strict=True)
  ]
  prices = [[choice.nbytes for choice in tables[path]] for path in paths]
  cache: dict[tuple[str, int], Stored] = {}
  read = inputs or {}

  def store(path: str, choice: Choice) -> Stored:
    return choices.store(kernels[path], choice, storage, read.get(path))

  def together(stored: Mapping[str, Stored]) -> tuple[Solution, float]:
    plan = _plan(inventory, stored)
    loss = sum(
      weight * stored[path].choice.error
      for path, weight in zip(paths, weights, strict=True)
    )
    return Solution(plan, stored, file_bytes(plan, stored)), loss

  def solution(picks: Sequence[int]) -> tuple[Solution, float]:
    """What the picks store, and its loss; both are exact from then on."""
    stored = {}
    for i, (path, pick) in enumerate(zip(paths, picks, strict=True)):
      if (path, pick) not in cache:
        cache[path, pick] = store(path, tables[path][pick])
      stored[path] = cache[path, pick]
      losses[i][pick] = weights[i] * stored[path].choice.error
      prices[i][pick] = stored[path].choice.nbytes
    return together(stored)

  picks = [min(range(len(row)), key=row.__getitem__) for row in prices]
  best, least = solution(picks)
  if best.nbytes > budget:
    raise TooSmall(budget, best.nbytes)
  tried = best
  for _ in range(_TRIALS):
    # Bytes that are no kernel's, such as the plan's, change little with the picks.
    beside = tried.nbytes - sum(row[k] for row, k in zip(prices, picks, strict=True))
    new = lagrangian.choose(losses, prices, budget - beside)
    if new is None or new == picks:
      break
    picks = new
    tried, loss = solution(picks)
    if tried.nbytes <= budget and loss < least:
      best, least = tried, loss
  low, high, coarse = 0.0, 1.0, best
  for _ in range(_FINER):
    if budget - best.nbytes <= _LEFT * budget or not _is_refined(coarse.stored):
      break
    share = (low + high) / 2
    tried, loss = together(_finer(coarse.stored, share, store))
    if tried.nbytes > budget:
      low = share
      continue
    high = share
    if loss < least:
      best, least = tried, loss
  return best


def _is_refined(stored: Mapping[str, Stored]) -> bool:
  """Whether bits have a price in some of the choices."""
  return any(one.choice.penalty > 0 for one in stored.values())


def _finer(
  stored: Mapping[str, Stored],
  share: float,
  store: Callable[[str, Choice], Stored],
) -> dict[str, Stored]:
  """The same choices, with a bit at a part of its price."""
  return {
    path: store(
      path, dataclasses.replace(one.choice, penalty=share * one.choice.penalty)
    )
    if one.choice.penalty > 0
    else one
    for path, one in stored.items()
  }


def _plan(inventory: Inventory, stored: Mapping[str, Stored]) -> Plan:
  generators = {path: one.choice.generator for path, one in stored.items()}
  plan = plans.make(inventory.kernels, generators).apart_from(inventory.rest)
  return plan.narrowed({path: one.choice.bits for path, one in stored.items()})
