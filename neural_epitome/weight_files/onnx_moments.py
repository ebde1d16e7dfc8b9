"""Second moments of what the kernels of an ONNX graph read, on examples."""

import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from neural_epitome import packages
from neural_epitome.epitome import columns
from neural_epitome.state_dicts import onnx_file
from neural_epitome.state_dicts.weights_file import WeightsFile

# Runs a graph: its first argument is the file, and the others what `run` is given.
Run = Callable[[bytes, Sequence[str]], Iterable[Mapping[str, np.ndarray]]]
# ONNX's names of paddings, and ours.
_PADDINGS = {"SAME_UPPER": "SAME", "SAME_LOWER": "SAME_LOWER", "VALID": "VALID"}


class _Reading(NamedTuple):
  """An operator that reads a kernel.

  Attributes:
    node: a Conv, a Gemm or a MatMul.
    shape: of the kernel, `(*window, Cin, Cout)`.
  """

  node: Any
  shape: tuple[int, ...]

  def rows(self, x: np.ndarray) -> np.ndarray:
    """Some of what is read, float32 (rows, K)."""
    x = np.asarray(x, np.float32)
    given = {one.name: one for one in self.node.attribute}
    if self.node.op_type != "Conv":
      if "transA" in given and given["transA"].i:
        x = x.T
      rows = x.reshape(-1, x.shape[-1])
      return rows[columns.drawn(len(rows))]
    axes = len(self.shape) - 2

    def each(name: str) -> list[int]:
      return list(given[name].ints) if name in given else [1] * axes

    padding: Any = ((0, 0),) * axes
    name = given["auto_pad"].s.decode() if "auto_pad" in given else "NOTSET"
    if name != "NOTSET":
      padding = _PADDINGS[name]
    elif "pads" in given:
      pads = given["pads"].ints
      padding = tuple(zip(pads[:axes], pads[axes:], strict=True))
    return columns.of_convolution(
      np.moveaxis(x, 1, -1),
      kernel_size=self.shape[:-2],
      strides=each("strides"),
      padding=padding,
      kernel_dilation=each("dilations"),
      input_dilation=[1] * axes,
      groups=given["group"].i if "group" in given else 1,
    )


def measure(
  source: str | os.PathLike, file: WeightsFile, run: Run
) -> dict[str, np.ndarray]:
  """(K, K) of the kernels that a convolution or product of the main graph reads.

  Args:
    source: an ONNX file.
    file: the same, read.
    run: of a graph, as bytes, and names of its tensors: their values, call by call.

  Returns:
    By the names of `file`; see `epitome.activations.input_moments`.
  """
  onnx = packages.needed("onnx", "onnx", "--examples=")
  model = onnx.load_model_from_string(pathlib.Path(source).read_bytes())
  readings = _readings(model, file)
  names = sorted({one.node.input[0] for one in readings.values()})
  there = {one.name for one in model.graph.output}
  model.graph.output.extend(
    onnx.ValueInfoProto(name=name) for name in names if name not in there
  )
  moments: dict[str, columns.Moments] = {}
  for call in run(model.SerializeToString(), names):
    for kernel, reading in readings.items():
      rows = reading.rows(call[reading.node.input[0]])
      if np.isfinite(rows).all():
        moments.setdefault(kernel, columns.Moments()).add(rows)
  return {kernel: one.mean() for kernel, one in moments.items()}


def _readings(model: Any, file: WeightsFile) -> dict[str, _Reading]:
  """What reads each kernel, of those that one known operator reads, as it is."""
  computed = {name for node in model.graph.node for name in node.output}
  computed |= {one.name for one in model.graph.input}
  names = {"/".join(keys): name for name, keys in file.form.paths.items()}
  readings: dict[str, list[_Reading | None]] = {}
  for node in onnx_file.nodes(model):
    for place, tensor in enumerate(node.input):
      name = names.get(tensor)
      if name is None or name not in file.layouts:
        continue
      array = file.arrays[name]
      shape = file.layouts[name].to_ours(array).shape
      is_known = (
        place == 1
        and node.op_type in ("Conv", "Gemm", "MatMul")
        and node.input[0] in computed
        and (node.op_type == "Conv" or array.ndim == 2)
        and int(np.prod(shape[:-1])) <= columns.MOST_INPUTS
      )
      readings.setdefault(name, []).append(_Reading(node, shape) if is_known else None)
  return {
    name: every[0]
    for name, every in readings.items()
    if len(every) == 1 and every[0] is not None
  }
