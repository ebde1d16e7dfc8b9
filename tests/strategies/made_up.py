"""A table whose best choice is known: option 2 of each gene."""

from neural_epitome.search.tabular import Tabular
from neural_epitome.spaces.table import Table
from neural_epitome.spaces.table_space import TableSpace

GENES = {f"gene_{number}": range(4) for number in range(5)}


def rows():
  for number in range(4**5):
    options = [number // 4**place % 4 for place in range(5)]
    row = dict(zip(GENES, options, strict=True))
    worth = -sum((option - 2) ** 2 for option in options)
    yield row | {"top1": worth, "price": sum(options)}


SPACE = TableSpace(Table.of_rows([*rows()], GENES, ("top1", "price")), "price")
JUDGE = Tabular(SPACE, told="top1", budget=10.0)
