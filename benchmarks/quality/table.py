"""Tables and figure of CIFAR-100's page: python -m benchmarks.quality.table."""

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence

from benchmarks import common, pages
from benchmarks.quality import figure
from benchmarks.quality.jobs import SEEDS
from neural_epitome.errors import UserError

PAGE = pages.DOCS / "cifar100.md"
ARMS = {
  "best": "ours",
  "best_examples": "ours, 1,000 images seen",
  "int8": "int8",
  "int4": "int4",
  "int3": "int3",
  "int2": "int2",
  "nnc": "NNC",
  "nnc_small_finer": "NNC, small kernels finer",
  "product_quantisation_weighted": "product quantisation",
  "product_quantisation": "product quantisation, plain error",
  "uniform_scalars": "scalars, entropy coded",
  "palette": "palettes",
  "singular_vectors": "low rank, int8",
  "narrower": "narrower network, int8",
  "low_rank": "low rank",
  "random": "random sharing, int8",
  "tile": "tile, int8",
}

OURS = ("best", "best_examples")

Row = Mapping[str, str]


def tables(rows: Sequence[Row]) -> dict[str, str]:
  """By the names of the markers: as they are, and with statistics measured anew."""
  return {
    "cifar100": _table(rows, "top1"),
    "cifar100_remeasured": _table(rows, "top1_remeasured"),
  }


def _table(rows: Sequence[Row], column: str) -> str:
  """Arms that were not trained, by how many times smaller they are."""
  rows = [row for row in rows if row["network"] == "plain" and row["epochs"] == "0"]
  sizes = sorted({int(row["size"]) for row in rows if row[column]} - {1})
  body = []
  for arm, name in ARMS.items():
    cells = [
      _cell([r for r in rows if r["arm"] == arm and int(r["size"]) == size], column)
      for size in sizes
    ]
    if any(cells):
      body.append([f"**{name}**" if arm in OURS else name, *cells])
  return pages.markdown(["", *(f"{size}x" for size in sizes)], body)


def _cell(rows: Sequence[Row], column: str) -> str:
  """Mean and standard deviation, and how many seeds if there are few."""
  values = [float(row[column]) for row in rows if row[column]]
  if not values:
    return ""
  mean = f"{statistics.mean(values):.1f}"
  spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
  few = "" if len(values) >= len(SEEDS) else f" ({len(values)} of {len(SEEDS)} seeds)"
  return mean + spread + few


def main() -> None:
  """Writes the tables between their markers, and the figure."""
  argparse.ArgumentParser(description=str(__doc__)).parse_args()
  pages.write(PAGE, tables(common.read("quality")))
  print(figure.draw(common.read("quality")))


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    sys.exit(f"error: {error}")
