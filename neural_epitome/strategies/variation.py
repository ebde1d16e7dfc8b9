"""New choices from known ones: mutation and crossover within a budget."""

from collections.abc import Collection, Sequence

import jax
import numpy as np

from neural_epitome.spaces.arch import ArchEncoding
from neural_epitome.strategies.base import Problem

# Attempts for each child, of which some are known already or cannot be made to fit.
_ATTEMPTS = 50


def children(
  problem: Problem,
  random: np.random.Generator,
  parents: Sequence[ArchEncoding],
  known: Collection[ArchEncoding],
  count: int,
  mutation: float,
) -> list[ArchEncoding]:
  """Different choices within the budget, by turns a mutation of one parent and a child.

  Args:
    problem: whose budget they are shrunk to.
    random: draws parents and genes.
    parents: at least one.
    known: what is not made again.
    count: how many; fewer where no others are found.
    mutation: probability that a gene of a mutation is drawn anew. A child of two has
      each gene of one or the other.
  """
  made: dict[ArchEncoding, None] = {}
  for attempt in range(_ATTEMPTS * count):
    if len(made) == count:
      break
    first = parents[int(random.integers(len(parents)))]
    if attempt % 2:
      other, share = parents[int(random.integers(len(parents)))], 0.5
    else:
      stream = int(random.integers(2**31))
      [other] = problem.space.sample(problem.seed, stream, count=1)
      share = mutation
    child = problem.shrunk(
      problem.space.canonical(mixed(first, other, share, random)),
      random,
      problem.budget,
    )
    if child is not None and child not in known:
      made[child] = None
  return list(made)


def mixed(
  first: ArchEncoding, other: ArchEncoding, share: float, random: np.random.Generator
) -> ArchEncoding:
  """Each gene of the other choice with probability `share`; not yet canonical."""

  def of(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return np.where(random.random(mine.shape) < share, theirs, mine)

  return jax.tree.map(of, first, other)
