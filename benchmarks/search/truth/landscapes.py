"""NK landscapes: made-up truth whose ruggedness is a number.

Each of N genes contributes a number drawn evenly from [0, 1) that depends on its own
option and on those of the K genes that follow it, around the end; the fitness of a
choice is the mean of the contributions (Kauffman and Levin, J. Theoretical Biology 128,
1987, here with more than two options a gene). With K = 0 genes add up, with K = N - 1
neighbours say nothing of each other. These are no networks: they show how a strategy
takes ruggedness.
"""

import functools
import itertools
from collections.abc import Callable

import numpy as np

from benchmarks.search.truth.base import Truth, at_median_price
from neural_epitome.spaces.table import Table
from neural_epitome.spaces.table_space import TableSpace

GENES, OPTIONS = 6, 4


def landscape(neighbours: int, seed: int = 0) -> Table:
  """The whole table: `fitness`, and as `price` the sum of the options' indices.

  Args:
    neighbours: K.
    seed: of the contributions.
  """
  random = np.random.default_rng((seed, neighbours))
  shape = (GENES, *(OPTIONS,) * (neighbours + 1))
  contributions = random.random(shape)
  encodings = np.array(list(itertools.product(range(OPTIONS), repeat=GENES)))
  read = [np.roll(encodings, -shift, axis=1) for shift in range(neighbours + 1)]
  fitness = np.mean(contributions[(np.arange(GENES), *read)], axis=1)
  names = {f"gene_{n}": tuple(map(str, range(OPTIONS))) for n in range(GENES)}
  price = encodings.sum(axis=1).astype(float)
  return Table(names, encodings, {"fitness": fitness, "price": price})


def _truth(neighbours: int) -> Truth:
  space = TableSpace(landscape(neighbours), price="price")
  judge = at_median_price(space, told="fitness")
  return Truth(f"nk_{neighbours}", judge, tested="fitness")


TRUTHS: dict[str, Callable[[], Truth]] = {
  f"nk_{neighbours}": functools.partial(_truth, neighbours) for neighbours in (1, 4)
}
