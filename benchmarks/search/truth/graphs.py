"""NAS-Bench-Graph: 26,206 trained graph networks a data set, as its authors ship them.

Qin et al., NAS-Bench-Graph: Benchmarking Graph Neural Architecture Search, NeurIPS 2022
(arXiv 2206.09166), package `nas-bench-graph`, Apache 2.0. A network has four operations
and a graph that says which of the earlier nodes each reads. Several encodings are one
network; the package says which (`Arch.valid_hash`).
"""

import functools
import itertools
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search.truth.base import Truth, at_median_price
from neural_epitome import packages
from neural_epitome.errors import UserError
from neural_epitome.spaces.table import Table
from neural_epitome.spaces.table_space import TableSpace

# Graphs of citations, of products bought together, and of co-authors.
DATASETS = ("cora", "computers", "physics", "arxiv")
# By our name, theirs: accuracies are shares, latencies seconds, parameters millions.
MEASURED = {
  "validation_top1": "valid_perf",
  "test_top1": "perf",
  "latency": "latency",
  "parameters": "para",
}
_SKIPPED = "skip"


class _Numbers(pickle.Unpickler):
  """Reads numbers in dictionaries, and calls nothing that a pickle names but those."""

  def find_class(self, module_name: str, global_name: str) -> Any:
    if global_name == "scalar" and module_name.endswith("core.multiarray"):
      return _number
    if (module_name, global_name) == ("numpy", "dtype"):
      return np.dtype
    raise UserError(f"The table names {module_name}.{global_name}, which is no number.")


def _number(dtype: np.dtype, data: bytes) -> float:
  return float(np.frombuffer(data, dtype)[0])


def load(dataset: str) -> Table:
  """The table of a data set.

  Raises:
    UserError: if the package is not installed.
  """
  package = packages.needed("nas_bench_graph", "tables", f"The table {dataset}")
  path = Path(package.__file__).parent / "light" / f"{dataset}.bench"
  with path.open("rb") as file:
    known = _Numbers(file).load()
  graphs, operations = package.link_list, package.gnn_list
  encodings, keys = [], []
  counts = (len(graphs), *(len(operations),) * 4)
  for graph, *chosen in itertools.product(*map(range, counts)):
    names = [operations[index] for index in chosen]
    # A network of nothing was not measured.
    if set(names) != {_SKIPPED}:
      encodings.append((graph, *chosen))
      keys.append(package.Arch(graphs[graph], names).valid_hash())
  first = {key: row for row, key in reversed([*enumerate(keys)])}
  measured = {
    ours: np.array([float(known[key][theirs]) for key in keys])
    for ours, theirs in MEASURED.items()
  }
  genes = {"graph": tuple("".join(map(str, graph)) for graph in graphs)}
  genes |= {f"operation_{node}": tuple(operations) for node in range(1, 5)}
  canonical = np.array([first[key] for key in keys])
  return Table(genes, np.array(encodings), measured, canonical)


def _truth(dataset: str) -> Truth:
  space = TableSpace(load(dataset), price="latency")
  judge = at_median_price(space, told="validation_top1")
  return Truth(dataset, judge, tested="test_top1")


TRUTHS: dict[str, Callable[[], Truth]] = {
  dataset: functools.partial(_truth, dataset) for dataset in DATASETS
}
