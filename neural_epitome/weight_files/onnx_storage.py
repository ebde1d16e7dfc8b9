"""Weights stored for a small ONNX file: what kernels take there, and what it all does.

Starts cannot be entropy coded in it, see `onnx_kernels`, and operators take bytes too.
"""

import os
import pathlib
import tempfile
from collections.abc import Callable

from neural_epitome.compression import compact_reader
from neural_epitome.compression.compressed import Compressed
from neural_epitome.compression.storage import Storage
from neural_epitome.epitome.generators import GeneratorSpec, LowRank, WindowedEpitome
from neural_epitome.errors import UserError
from neural_epitome.state_dicts import writing
from neural_epitome.state_dicts.weights_file import WeightsFile
from neural_epitome.weight_files import expanding, onnx_small

# Bytes of the operators of a kernel, about, and of those that take a plane of 4, 2 or 1
# bits apart, see `Parts.integers`.
_OPERATORS = {"float16": 55, "integers": 110, "palette": 220, "windows": 800}
_PLANE = 285


def _operators(generator: GeneratorSpec, bits: int) -> int:
  """Bytes of what computes a kernel from its numbers."""
  if isinstance(generator, WindowedEpitome):
    is_palette = all(extent == 1 for extent in generator.window)
    starts = _planes(generator.offset_bits("start"))
    return _OPERATORS["palette" if is_palette else "windows"] + starts
  if bits > 8:
    return _OPERATORS["float16"]
  times = 2 if isinstance(generator, LowRank) else 1
  return times * (_OPERATORS["integers"] + _planes(bits))


def _planes(bits: int) -> int:
  return _PLANE * (bits % 8).bit_count()


STORAGE = Storage(is_coded=False, beside=_operators)


def sizes(source: str | os.PathLike, file: WeightsFile) -> Callable[[Compressed], int]:
  """Tells the bytes of the small ONNX file of what was made of a graph's weights.

  Args:
    source: an ONNX file.
    file: the same, read.

  Raises:
    UserError: if it is none, or its opset is older than 11.
  """
  if file.kind != "onnx":
    raise UserError(
      f"--format=onnx is of the weights of an ONNX graph: {source} is {file.kind}."
    )
  with tempfile.TemporaryDirectory() as folder:
    # As it is written, which may differ from the source in how it holds numbers.
    graph = pathlib.Path(folder) / "graph.onnx"
    writing.write(graph, file.arrays, file.form, "onnx", source)
    data = graph.read_bytes()
  onnx_small.load(data)

  def nbytes(small: Compressed) -> int:
    with tempfile.TemporaryDirectory() as folder:
      path = pathlib.Path(folder) / "small.safetensors"
      small.save(path)
      return len(onnx_small.narrowed(compact_reader.read(path), data))

  return nbytes


def save(small: Compressed, path: str | os.PathLike, source: str | os.PathLike) -> None:
  """Writes the small ONNX file of what was made of a graph's weights.

  Args:
    small: from `compress_file`.
    path: of the file.
    source: the ONNX file that was compressed.

  Raises:
    UserError: if it cannot be written.
  """
  with tempfile.TemporaryDirectory() as folder:
    compact = pathlib.Path(folder) / "small.safetensors"
    small.save(compact)
    expanding.expand_file(compact, path, "onnx", source)
