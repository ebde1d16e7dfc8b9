"""What was compressed, in full and in the form of the file that it came from."""

import os
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from neural_epitome import whole_files
from neural_epitome.compression import compact_reader
from neural_epitome.compression.loading import explained
from neural_epitome.errors import UserError
from neural_epitome.state_dicts import writing
from neural_epitome.state_dicts.weights_file import Form
from neural_epitome.weight_files import description, onnx_small

# File name endings by format.
ENDINGS = {
  "torch": ".pth",
  "safetensors": ".safetensors",
  "npz": ".npz",
  "msgpack": ".msgpack",
  "onnx": ".onnx",
  "onnx-float": "_float.onnx",
}


class Stored(NamedTuple):
  """What a compact file of `compress_file` holds.

  Attributes:
    network: as it is stored.
    arrays: in full, by the names, and in the shapes, of the file that was compressed.
    form: of that file.
  """

  network: compact_reader.Network
  arrays: dict[str, np.ndarray]
  form: Form


def is_of_weights(path: str | os.PathLike) -> bool:
  """Whether this is a compact file that `compress_file` made."""
  path = pathlib.Path(path)
  if path.suffix != ".safetensors" or not path.is_file():
    return False
  try:
    return description.KEY in compact_reader.read(path).metadata.get("network", {})
  except (compact_reader.CompactError, AttributeError, TypeError):
    return False


def read(path: str | os.PathLike) -> Stored:
  """Reads a compact file that `compress_file` made.

  Raises:
    UserError: if it is absent or damaged, or was made of something else.
  """
  with explained(path):
    network = compact_reader.read(path)
    described = network.metadata.get("network", {})
    if description.KEY not in described:
      raise UserError(
        f"{path} was not made of a file of weights: --mode=compress does."
      )
    arrays = {name: np.asarray(one) for name, one in network.parameters().items()}
    for name, (layout, shape) in description.layouts(described).items():
      arrays[name] = layout.from_ours(arrays[name], shape)
    tied = description.ties(described)
    form = description.form(described, [*arrays, *tied])
    for name, first in tied.items():
      # Only torch's files say that two names are one tensor, not two that are equal.
      one = arrays[first]
      arrays[name] = one if form.kind == "torch" else one.copy()
    return Stored(network, arrays, form)


def expand_file(
  path: str | os.PathLike,
  output: str | os.PathLike,
  kind: str | None = None,
  source: str | os.PathLike | None = None,
) -> pathlib.Path:
  """Writes the weights of a compact file in full, for the program they came from.

  Names, nesting, shapes and types are those of the file that was compressed.

  Args:
    path: of a compact file from `compress_file`.
    output: of the file to be written.
    kind: `torch` (.pth), `safetensors`, `npz` or `msgpack`; that of the file that was
      compressed by default, or .safetensors where that was a folder or an ONNX file.
      Or `onnx-float`, the graph that was compressed with the weights in full, or
      `onnx`, the same graph in a small file: see `onnx_small`.
    source: the ONNX file that was compressed; those two need it, for its graph.

  Returns:
    The path of the file.

  Raises:
    UserError: if the file holds no such weights or cannot be written.
  """
  network, arrays, form = read(path)
  kind = kind or default_kind(form.kind)
  if kind in ("onnx", "onnx-float"):
    _write_graph(pathlib.Path(output), network, arrays, form, source, kind == "onnx")
  else:
    writing.write(output, arrays, form, kind)
  return pathlib.Path(output)


def _write_graph(
  output: pathlib.Path,
  network: compact_reader.Network,
  arrays: Mapping[str, np.ndarray],
  form: Form,
  source: str | os.PathLike | None,
  is_small: bool,
) -> None:
  if source is None:
    raise UserError(
      "A graph needs the ONNX file that was compressed: --weights=FILE (source=)."
    )
  try:
    with whole_files.replacing(output) as partial:
      writing.write(partial, arrays, form, "onnx", source)
      if is_small:
        partial.write_bytes(onnx_small.narrowed(network, partial.read_bytes()))
  except OSError as error:
    raise UserError(f"{output} cannot be written: {error.strerror}.") from None


def expand_into(
  path: str | os.PathLike,
  directory: pathlib.Path,
  kind: str | None = None,
  source: str | os.PathLike | None = None,
) -> pathlib.Path:
  """`expand_file` into a directory, named after the compact file; returns the path."""
  with explained(path):
    network = compact_reader.read(path).metadata.get("network", {})
    kind = kind or default_kind(description.form(network, {}).kind)
  output = directory / (pathlib.Path(path).stem + ENDINGS[kind])
  if output.resolve() == pathlib.Path(path).resolve():
    raise UserError(f"{output} would be written over the compact file: give --output.")
  return expand_file(path, output, kind, source)


def default_kind(kind: str) -> str:
  """The format in which weights of this kind are written back."""
  return kind if kind in ("torch", "safetensors", "npz", "msgpack") else "safetensors"
