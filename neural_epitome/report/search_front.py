"""The front of a search, which no other choice beats; how prices are told."""

from collections.abc import Mapping, Sequence
from typing import Any

from neural_epitome.strategies.archive import non_dominated

Line = Mapping[str, Any]
LABELS = {
  "madds": "multiply-adds (millions)",
  "parameters": "stored parameters (thousands)",
  "bytes": "stored bytes (thousands)",
  "latency": "latency (ms)",
}
SCALES = {"madds": 1e6, "parameters": 1e3, "bytes": 1e3, "latency": 1.0}


def front(lines: Sequence[Line], metric: str) -> list[Line]:
  """The lines of the Pareto front, cheapest first; see `archive.ParetoArchive`.

  Args:
    lines: of the log: a price by metric and `top1` of every choice.
    metric: of the price.
  """
  # A point of the drawing is one line's, also where several have the same values.
  points = {(line[metric], -line["top1"]): line for line in reversed(lines)}
  kept = non_dominated(list(points))
  by_point = list(points.values())
  return sorted((by_point[k] for k in kept), key=lambda line: line[metric])
