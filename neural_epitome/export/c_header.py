"""A C header for microcontrollers: what is stored as arrays, and how it expands.

One file, C99, no library: tensors in float or integers of a few bits, starts, factors,
every other parameter as it is, `ne_kernels[]` with one entry a kernel, an `ne_at_...`
for the place of each in it, and `expand.h`, which computes a weight, or all of a
kernel's, from an entry. The first comment says as JSON what network it is, the shapes
of kernels, and what all other parameters are called. `read`, which `c_compiled` has,
compiles it.
"""

import importlib.resources
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neural_epitome import whole_files
from neural_epitome.compression.loading import explained, load_compressed
from neural_epitome.epitome.plan import Plan
from neural_epitome.errors import UserError
from neural_epitome.export import c_kernels, compact, inference_model
from neural_epitome.export.c_compiled import read
from neural_epitome.export.c_constants import Constants, comment
from neural_epitome.training.trained import Trained
from neural_epitome.weight_files import expanding

__all__ = ["ENDING", "HOLDS_RECORD", "IS_PROGRAM", "read", "write", "write_weights"]

ENDING = ".h"
IS_PROGRAM = False
HOLDS_RECORD = True


def write(
  path: str | os.PathLike,
  trained: Trained,
  bits: int | None = None,
  record: Mapping[str, Any] | None = None,
) -> None:
  """Writes the header of a network.

  Args:
    path: of the file.
    trained: from `inference_model.shipped`.
    bits: see `inference_model.at_bits`. A crop is rounded anew, in a range of its own.
    record: from `deployment`, by default that of `trained`.

  Raises:
    UserError: for bits that `rounding` does not know, or naming a kernel that
      `expand.h` cannot build.
  """
  description = compact.description(trained, record)
  plan, params, offsets = inference_model.numbers(trained, bits)
  Path(path).write_text(_text(description, plan, params, offsets))


def write_weights(path: str | os.PathLike, weights: str | os.PathLike) -> None:
  """Writes the header of weights whose network is not known here.

  Kernels are expanded as `(*window, inputs, outputs)`; how they lay in the file that
  was compressed stands in the first comment, under `network`.

  Args:
    path: of the file.
    weights: a compact file from `compress_file`.

  Raises:
    UserError: if that cannot be read, or the header not be written.
  """
  with explained(weights):
    small, stored = load_compressed(weights), expanding.read(weights)
    params = {name: np.asarray(array) for name, array in small.compact.items()}
    network, rounded = stored.network, {}
    for name in small.plan.tensors:
      integers, factors, bits = network.numbers(name)
      if bits:
        # Rounded again, a factor might differ in its last bit.
        rounded[name] = integers, np.reshape(factors, -1)
    described = network.metadata["network"]
    text = _text(described, small.plan, params, small.offsets, rounded)
  try:
    with whole_files.replacing(path) as partial:
      partial.write_text(text)
  except OSError as error:
    raise UserError(f"{path} cannot be written: {error.strerror}.") from None


def _text(
  network: Mapping[str, Any],
  plan: Plan,
  params: Mapping[str, np.ndarray],
  offsets: Mapping[str, Mapping[str, np.ndarray]],
  rounded: Mapping[str, c_kernels.Integers] | None = None,
) -> str:
  constants, places, entries = Constants(), [], []
  kernels = c_kernels.Kernels(constants, plan, params, rounded)
  for number, path in enumerate(plan.kernels):
    fields = kernels.fields(path, offsets.get(path, {}))
    places.append(f"{constants.name(f'at_{path}')} = {number}")
    entries.append(f"  {c_kernels.initialiser(fields)}, {comment(path)}")
  rest = {}
  for name, value in params.items():
    if name not in plan.tensors:
      kind = "int32" if np.issubdtype(value.dtype, np.integer) else "float32"
      array = constants.add(name, value.astype(kind))
      rest[name] = {"array": array, "dtype": kind, "shape": list(value.shape)}
  about = {
    "network": dict(network),
    "kernels": {name: list(kernel.shape) for name, kernel in plan.kernels.items()},
    "rest": rest,
  }
  source = importlib.resources.files("neural_epitome.export").joinpath("expand.h")
  lines = [
    comment(about),
    "#ifndef NEURAL_EPITOME_NETWORK_H",
    "#define NEURAL_EPITOME_NETWORK_H",
    source.read_text(),
    f"#define NE_BYTES {constants.nbytes} /* of all arrays */",
    f"#define NE_KERNELS {len(entries)}",
    *constants.lines(),
    "enum {\n  " + ",\n  ".join(places) + "\n};",
    "static const ne_kernel ne_kernels[NE_KERNELS] = {",
    *entries,
    "};",
    "#endif",
  ]
  return "\n".join(lines) + "\n"
