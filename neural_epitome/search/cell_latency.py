"""The latency of every operation of cells on this machine, for `ne.CellTransformer`."""

import json
import statistics
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from neural_epitome import models, whole_files
from neural_epitome.cost import latency
from neural_epitome.models.cell_network import EdgeModule
from neural_epitome.models.cell_operations import OPERATIONS
from neural_epitome.spaces.cell_prices import CellFrame


def measure_cell_latencies(
  frame: CellFrame, path: str | Path, rounds: int = 50
) -> list[dict[str, Any]]:
  """Times each operation as it may stand in a network, one image a call, under XLA.

  Operations alternate, so that a machine that slows down does so for all alike. The
  time of an operation alone is not that of it in a network: compilers fuse, and each
  call has a price of its own, which is that of a skip. What holds by such a table holds
  by the table.

  Args:
    frame: the network.
    path: of the JSON file that is written, a list that `cell_prices.load_latencies`
      reads.
    rounds: calls of each operation, of which the median counts.

  Returns:
    The rows: operation, channels, size (of the output), stride, ms.
  """
  layers, rows, cases = models.make_layers(), [], {}
  for place, size in dict.fromkeys(frame.places):
    for stride in (1, 2) if place.is_reduction else (1,):
      x = jnp.zeros((1, size * stride, size * stride, place.channels), jnp.float32)
      for operation in OPERATIONS:
        if operation.type == "null":
          continue
        edge = EdgeModule(operation, place.channels, stride, layers)
        variables = jax.jit(edge.init, static_argnums=2)(jax.random.key(0), x, False)
        compiled = jax.jit(edge.apply, static_argnums=2).lower(variables, x, False)
        run = _call(compiled.compile(), variables, x)
        run()
        row = {"operation": operation.name, "channels": place.channels, "size": size}
        cases[str(len(rows))] = run
        rows.append(row | {"stride": stride})
  seconds = latency.alternate(cases, rounds)
  for number, row in enumerate(rows):
    row["ms"] = round(1e3 * statistics.median(seconds[str(number)]), 5)
  text = ",\n ".join(map(json.dumps, rows))
  with whole_files.replacing(path) as partial:
    partial.write_text(f"[{text}]\n", encoding="utf-8")
  return rows


def _call(program: Any, variables: Any, x: jax.Array) -> Any:
  return lambda: jax.block_until_ready(program(variables, x))
