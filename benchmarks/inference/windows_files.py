"""A network of windows in every format: python -m benchmarks.inference.windows_files.

ResNet-20 with random weights, 3x3 kernels and classifier in windows of one ring of
2,048 numbers in int8. What each file answers is compared with the network in full.
"""

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common, pages
from benchmarks.inference import measurement
from neural_epitome.config import Config
from neural_epitome.data.options import DataOptions
from neural_epitome.epitome.generators import WindowedEpitomeRule
from neural_epitome.epitome.routing import IndexOptions
from neural_epitome.errors import UserError
from neural_epitome.export import (
  compact,
  inference_model,
  litert,
  onnx,
  onnx_stored,
  program,
  stablehlo,
)
from neural_epitome.models import ResNetConfig
from neural_epitome.planning import RatePlanner
from neural_epitome.training.trained import Trained

NAME, PAGE = "windows_files", pages.DOCS / "inference.md"
BITS = 8
_IMAGES = 4

# Writes a network to a path; and runs it, if it is a program.
Form = tuple[Callable[[Path, Trained], None], Callable[[Path], Any] | None]


def _onnx(path: Path, network: Trained) -> None:
  run = program.run_as(network, "fold", onnx_stored.paths(network))
  onnx.write(path, run, stored=network)


def _of(module: Any, mode: program.Mode) -> Form:
  return lambda p, n: module.write(p, program.run_as(n, mode)), module.read


FORMS: dict[str, Form] = {
  "compact file": (lambda path, network: compact.write(path, network), None),
  "ONNX": (_onnx, onnx.read),
  "ONNX, a table of windows": _of(onnx, "materialise"),
  "ONNX, in full": _of(onnx, "decode"),
  "StableHLO": _of(stablehlo, "materialise"),
  "StableHLO, in full": _of(stablehlo, "decode"),
  "LiteRT": _of(litert, "materialise"),
  "LiteRT, in full": _of(litert, "decode"),
}


def network() -> Trained:
  """As it ships."""
  rules = RatePlanner(rule=WindowedEpitomeRule(length=2048), keep=("*shortcut/kernel",))
  config = Config(
    model=ResNetConfig(depth=20),
    planner=rules,
    indices=IndexOptions(source="fixed"),
    data=dataclasses.replace(
      DataOptions(), image_size=32, channels=3, classes=measurement.CLASSES
    ),
  )
  return inference_model.at_bits(measurement.network(config, rules), BITS)


def table(rows: list[dict[str, Any]]) -> str:
  """What each file takes, and how far its answers are from the network's."""
  headers = ["file", "bytes", "largest difference of logits, of the largest"]
  body = [
    [row["form"], f"{int(row['bytes']):,}", row["largest_difference"]] for row in rows
  ]
  return pages.markdown(headers, body)


def main() -> None:
  """Writes every file, the CSV and the table."""
  argparse.ArgumentParser(description=str(__doc__)).parse_args()
  ready, rows = network(), []
  shape = (_IMAGES, *ready.config.data.input_shape)
  images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
  expected = np.asarray(ready.model.apply(ready.variables, images, train=False))
  with tempfile.TemporaryDirectory() as folder:
    for form, (write, read) in FORMS.items():
      path = Path(folder) / "network"
      write(path, ready)
      row: dict[str, Any] = {"form": form, "bytes": path.stat().st_size}
      row["largest_difference"] = ""
      if read is not None:
        answers = np.asarray(read(path)(images))
        difference = np.max(np.abs(answers - expected)) / np.max(np.abs(expected))
        row["largest_difference"] = f"{difference:.1e}"
      print(row, flush=True)
      rows.append(row)
  common.write(NAME, [row | common.circumstances() for row in rows])
  pages.write(PAGE, {NAME: table(rows)})


if __name__ == "__main__":
  try:
    main()
  except UserError as error:
    sys.exit(f"error: {error}")
