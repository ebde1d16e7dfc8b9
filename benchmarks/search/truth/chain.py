"""A small space of chains, every network of which is trained: CIFAR-100 in short runs.

Five inverted residuals, each left out or of one of two widths and two windows: 3,125
networks. `benchmarks.search.exhaustive` trains them, a row of results/chain_table.csv
each. The table is there once all its rows are.
"""

import csv
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks import common
from benchmarks.search.truth.base import Truth, at_median_price
from neural_epitome.spaces.arch import Arch
from neural_epitome.spaces.chain_space import ChainSpace
from neural_epitome.spaces.table import Table
from neural_epitome.spaces.table_space import TableSpace

PATH = common.RESULTS / "chain_table.csv"
SEEDS = (0, 1, 2)
SPACE = ChainSpace(
  stages=((4, 16, 2), (4, 32, 2), (4, 64, 1)),
  stage_strides=(1, 2, 2),
  stem=16,
  head=128,
  image_size=32,
  most_widths=2,
)
# By block, window and width of each option; the first is the block left out.
OPTIONS = [
  [
    (SPACE.windows[0], 0),
    *itertools.product(SPACE.windows, SPACE.widths(block)[1:]),
  ]
  for block in range(len(SPACE.positions))
]
GENES = {
  f"block_{block}": tuple(
    f"{window}x{window} of {width}" if width else "none" for window, width in options
  )
  for block, options in enumerate(OPTIONS)
}
TOP1 = tuple(f"top1_{seed}" for seed in SEEDS)
TEST_TOP1 = tuple(f"test_top1_{seed}" for seed in SEEDS)
MEASURED = ("madds", "parameters", *TOP1, *TEST_TOP1)


def encodings() -> list[tuple[int, ...]]:
  """All of them, in an order in which any first part is an even sample."""
  counts = [range(len(options)) for options in OPTIONS]
  everything = list(itertools.product(*counts))
  order = np.random.default_rng(0).permutation(len(everything))
  return [everything[index] for index in order]


def arch(encoding: Sequence[int]) -> Arch:
  """The choice of `SPACE` that an encoding stands for."""
  chosen = [options[index] for options, index in zip(OPTIONS, encoding, strict=True)]
  window, width = np.array(chosen, np.int32).T
  largest = SPACE.largest
  return SPACE.canonical(
    Arch(window, width, largest.operation, largest.rate, largest.bits)
  )


def names(encoding: Sequence[int]) -> dict[str, str]:
  """The options of an encoding, as they stand in a row."""
  return {
    gene: options[index]
    for (gene, options), index in zip(GENES.items(), encoding, strict=True)
  }


def read(path: Path = PATH) -> list[dict[str, str]]:
  """The rows that are there."""
  if not path.exists():
    return []
  with path.open(newline="") as file:
    return list(csv.DictReader(file))


def noise(rows: Sequence[Mapping[str, str]]) -> dict[str, float]:
  """How far a table is from what it would say with other seeds.

  Returns:
    `deviation` of one network's test accuracy over seeds, `spread` of the networks'
    means, and `kendall_tau` between two seeds' orders, the mean over pairs.
  """
  top1 = np.array([[float(row[name]) for name in TEST_TOP1] for row in rows])
  pairs = itertools.combinations(top1.T, 2)
  taus = [float(stats.kendalltau(*pair)[0]) for pair in pairs]
  return {
    "deviation": float(np.sqrt(np.mean(np.var(top1, axis=1, ddof=1)))),
    "spread": float(np.std(top1.mean(axis=1), ddof=1)),
    "kendall_tau": float(np.mean(taus)),
  }


def table(rows: Sequence[Mapping[str, str]]) -> Table:
  """Told is the accuracy of one seed; the others' on the test split judge."""
  measured = Table.of_rows(rows, GENES, MEASURED)
  others = np.mean([measured.measured[name] for name in TEST_TOP1[1:]], axis=0)
  columns = dict(measured.measured) | {"test_top1": others}
  return Table(measured.genes, measured.encodings, columns)


def _truth(path: Path) -> Truth:
  space = TableSpace(table(read(path)), price="madds")
  return Truth("chain", at_median_price(space, told=TOP1[0]), tested="test_top1")


def truths(path: Path = PATH) -> dict[str, Callable[[], Truth]]:
  """The table by its name, once all its rows are there; nothing before."""
  done = {tuple(row[gene] for gene in GENES) for row in read(path)}
  if len(done) < len(encodings()):
    return {}
  return {"chain": functools.partial(_truth, path)}
