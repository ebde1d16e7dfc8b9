"""The tables of ONNX files: python -m benchmarks.compress.onnx_table."""

import argparse
import sys
from collections.abc import Mapping, Sequence

from benchmarks import common, pages
from benchmarks.compress import crepe_table
from neural_epitome.errors import UserError

PAGE = pages.DOCS / "crepe.md"
# By the names of their markers.
TABLES = {"onnx_files": "crepe_tiny", "onnx_silero": "silero_vad"}
_RIGHT = {"crepe_tiny": "tones right, %", "silero_vad": "pieces right, %"}
_FORMS = {
  "float": "float, as it was",
  "dynamic int8": "ONNX Runtime, dynamic int8",
  "dynamic uint8": "ONNX Runtime, dynamic uint8",
  "static int8": "ONNX Runtime, static int8, calibrated",
  "DequantizeLinear": "int8 convolutions by DequantizeLinear",
}

_RIVALS = {
  "nnc": "NNC",
  "scalars": "scalars, entropy coded",
  "palette": "palettes",
  "low rank": "low rank, int8",
  "round to nearest": "round to nearest",
}


def table(rows: Sequence[Mapping[str, str]], network: str) -> str:
  """The forms of a network, the largest first."""
  body = [
    [
      _FORMS.get(row["form"], row["form"]),
      f"{int(row['bytes']):,}",
      f"{float(row['times_smaller']):.1f}x",
      f"{float(row['latency_ratio']):.2f}",
      f"{float(row['right_percent']):.1f}",
    ]
    for row in sorted(rows, key=lambda row: -int(row["bytes"]))
    if row["network"] == network
  ]
  headers = ["file", "bytes", "smaller", "time of a call", _RIGHT[network]]
  return pages.markdown(headers, body)


def rivals(rows: Sequence[Mapping[str, str]]) -> str:
  """Silero by size, a rival in the next larger file that it has."""
  body = []
  for row in rows:
    if row["method"] == "ours":
      [measured] = [
        other
        for other in rows
        if (other["method"], other["setting"]) == ("ours, measured", row["setting"])
      ]
      cells = [crepe_table.rival(rows, one, int(row["bytes"])) for one in _RIVALS]
      ratio = f"{float(row['times_smaller']):.1f}x"
      ours = f"**{crepe_table.spread(row)}**"
      body.append([ratio, ours, crepe_table.spread(measured), *cells])
  headers = ["times smaller", "ours", "ours, measured", *_RIVALS.values()]
  return pages.markdown(headers, body)


def main() -> None:
  """Writes the tables between their markers."""
  argparse.ArgumentParser(description=str(__doc__)).parse_args()
  rows = common.read("onnx_files")
  tables = {name: table(rows, network) for name, network in TABLES.items()}
  pages.write(PAGE, tables | {"onnx_rivals": rivals(common.read("onnx_rivals"))})


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    sys.exit(f"error: {error}")
