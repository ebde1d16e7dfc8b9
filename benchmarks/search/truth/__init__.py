"""Tables in which the best choice is known, by name."""

from collections.abc import Callable
from pathlib import Path

from benchmarks.search.truth import chain, graphs, landscapes
from benchmarks.search.truth.base import Truth

__all__ = ["TRUTHS", "Truth", "known"]


def known(chain_table: Path = chain.PATH) -> dict[str, Callable[[], Truth]]:
  """All tables; that of chains takes part once the file has all its rows.

  They are made when they are asked for: some read files, or need a package.
  """
  return {**landscapes.TRUTHS, **graphs.TRUTHS, **chain.truths(chain_table)}


TRUTHS = known()
