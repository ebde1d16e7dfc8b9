"""The table of CREPE's page: python -m benchmarks.compress.crepe_table."""

import argparse
import sys
from collections.abc import Mapping, Sequence

from benchmarks import common, pages
from neural_epitome.errors import UserError

PAGE = pages.DOCS / "crepe.md"
OURS = "best"
DISTILLED = ("best, distilled", "best, distilled, places fixed")
RIVALS = {
  "nnc": "NNC",
  "uniform scalars": "scalars, entropy coded",
  "palette": "palettes",
  "product quantisation": "product quantisation",
  "low rank": "low rank, int8",
  "round to nearest": "round to nearest",
}

Row = Mapping[str, str]


def table(rows: Sequence[Row]) -> str:
  """Accuracy of CREPE tiny by size; a rival is given the next larger file it has."""
  tiny = [row for row in rows if row["network"] == "tiny"]
  ours = [row for row in tiny if row["method"] == OURS]
  body = []
  for row in sorted(ours, key=lambda row: -int(row["bytes"])):
    cells = [rival(tiny, method, int(row["bytes"])) for method in RIVALS]
    taught = {
      other["method"]: spread(other)
      for other in tiny
      if other["setting"] == row["setting"]
    }
    ratio = f"{float(row['times_smaller']):.1f}x"
    taught_cells = [taught.get(method, "-") for method in DISTILLED]
    body.append([ratio, f"**{spread(row)}**", *taught_cells, *cells])
  heads = [
    "times smaller",
    "ours",
    "ours, distilled",
    "the same, places fixed",
    *RIVALS.values(),
  ]
  return pages.markdown(heads, body)


def spread(row: Row) -> str:
  """Mean and deviation of what is right."""
  return f"{float(row['right_percent']):.1f} ± {float(row['right_stdev']):.1f}"


def rival(rows: Sequence[Row], method: str, size: int) -> str:
  """The accuracy of a method in a file of at least this size, and its ratio."""
  own = sorted(
    (row for row in rows if row["method"] == method), key=lambda row: int(row["bytes"])
  )
  # Ratios that are met within a percent count as met.
  larger = [row for row in own if int(row["bytes"]) >= 0.99 * size]
  row = larger[0] if larger else own[-1]
  return f"{float(row['right_percent']):.1f} ({float(row['times_smaller']):.1f}x)"


def main() -> None:
  """Writes the table between its markers."""
  argparse.ArgumentParser(description=str(__doc__)).parse_args()
  pages.write(PAGE, {"crepe": table(common.read("crepe"))})


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    sys.exit(f"error: {error}")
