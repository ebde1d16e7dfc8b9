"""Tables of results/inference.csv: python -m benchmarks.inference.report.

Writes them between the markers of docs/results/inference.md and of index.md there. A
ratio is the median over rounds of a network's time over that of the dense one in the
same runtime.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence

from benchmarks import common, pages
from neural_epitome.errors import UserError

Row = Mapping[str, str]
RUNTIMES = {"litert": "LiteRT", "onnxruntime": "ONNX Runtime", "xla": "XLA"}
BATCHES = ("1", "8")
# The most that the time over the dense network's was to be, by rate and runtime.
TARGETS = {
  ("2.0", "onnxruntime"): 0.70,
  ("2.0", "litert"): 0.75,
  ("2.0", "xla"): 0.70,
  ("4.0", "onnxruntime"): 0.50,
  ("4.0", "litert"): 0.50,
  ("4.0", "xla"): 0.50,
}
OVER_TORCH = 0.70
# Where a floor forbids a target, the most above that floor.
ABOVE_FLOOR = 1.10
Cases = Mapping[tuple[str, str, str, str, str], Row]


def by_case(rows: Sequence[Row]) -> Cases:
  """Rows by side, rate, runtime, batch and mode."""
  names = ("side", "rate", "runtime", "batch", "mode")
  return {tuple(row[name] for name in names): row for row in rows}


def _cells(cases: Cases, side: str, rate: str, runtime: str, mode: str) -> str:
  rows = [cases.get((side, rate, runtime, batch, mode)) for batch in BATCHES]
  return ", ".join(row["ratio_to_dense"] if row else "-" for row in rows)


def digest(cases: Cases) -> str:
  """Folded where it was measured to be faster, on the narrow side."""
  body = []
  for rate in ("2.0", "4.0"):
    sizes = [
      int(cases["narrow", rate, runtime, "1", mode]["file_bytes"])
      for runtime in ("litert", "onnxruntime")
      for mode in ("measured", "dense")
    ]
    files = f"{sizes[0] / sizes[1]:.2f}, {sizes[2] / sizes[3]:.2f}"
    times = [_cells(cases, "narrow", rate, runtime, "measured") for runtime in RUNTIMES]
    body.append([f"rate {float(rate):g}", files, *times])
  heads = [f"{name}, batch 1 and 8" for name in RUNTIMES.values()]
  return pages.markdown(["", "file: .tflite, .onnx", *heads], body)


def times(cases: Cases, side: str) -> str:
  """Every mode over dense, batch 1 and 8."""
  heads = {
    "materialise": "materialised",
    "fold": "folded",
    "measured": "where faster",
    "floor": "floor",
  }
  if not any(case[0] == side and case[-1] == "floor" for case in cases):
    del heads["floor"]
  body = []
  for rate in ("2.0", "4.0"):
    for runtime, name in RUNTIMES.items():
      dense = [cases.get((side, rate, runtime, b, "dense")) for b in BATCHES]
      milliseconds = ", ".join(row["median_ms"] if row else "-" for row in dense)
      modes = [_cells(cases, side, rate, runtime, mode) for mode in heads]
      body.append([f"{name}, rate {float(rate):g}", milliseconds, *modes])
  return pages.markdown([f"{side} side", "dense, ms", *heads.values()], body)


def verdict(measured: float, floor: float, target: float) -> str:
  """Whether a ratio is what was aimed at, or as near as its floor lets it be."""
  if measured <= target:
    return "met"
  if floor <= target:
    return "missed"
  above = measured / floor
  return f"forbidden by the floor; {above:.2f} of it" + (
    "" if above <= ABOVE_FLOOR else ", missed"
  )


def shrunk(floor: float, rate: float) -> float:
  """The ratio if what the floor leaves out took as much less as its multiply-adds."""
  return floor + (1.0 - floor) / rate


def targets(cases: Cases) -> str:
  """What was aimed at, and what came of it on the narrow side."""
  body = []
  for (rate, runtime), target in TARGETS.items():
    for batch in BATCHES:
      measured, floor = (
        cases.get(("narrow", rate, runtime, batch, mode))
        for mode in ("measured", "floor")
      )
      if measured and floor:
        ratios = [float(row["ratio_to_dense"]) for row in (measured, floor)]
        body.append(
          [
            f"rate {float(rate):g}, {RUNTIMES[runtime]}, batch {batch}: {target:.2f}",
            *(f"{ratio:.3f}" for ratio in (*ratios, shrunk(ratios[1], float(rate)))),
            verdict(*ratios, target),
          ]
        )
  torch = [
    float(row["ratio_to_torch"])
    for (side, rate, runtime, _, mode), row in cases.items()
    if (side, rate, mode) == ("narrow", "2.0", "measured") and row["ratio_to_torch"]
  ]
  if torch:
    outcome = "met" if max(torch) <= OVER_TORCH else "missed"
    body.append(
      [
        f"rate 2 over torch, any: {OVER_TORCH:.2f}",
        f"{max(torch):.3f}",
        "",
        "",
        outcome,
      ]
    )
  heads = ["at most", "measured", "floor", "1x1 time over rate", ""]
  return pages.markdown(heads, body)


def main() -> None:
  """Writes both pages."""
  argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
  cases = by_case(common.read("inference"))
  if not cases:
    raise UserError(
      "results/inference.csv is empty: run python -m benchmarks.inference."
    )
  parts = {
    "inference.md": {
      "targets": targets(cases),
      "narrow": times(cases, "narrow"),
      "wide": times(cases, "wide"),
    },
    "index.md": {"inference": digest(cases)},
  }
  for name, tables in parts.items():
    pages.write(pages.DOCS / name, tables)


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    sys.exit(f"error: {error}")
