"""The weights in an ONNX file: initialisers and constants, and what reads each.

Needs the package `onnx`; see `packages`. The graph is not run.
"""

import dataclasses
import math
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from neural_epitome import packages
from neural_epitome.errors import UserError
from neural_epitome.state_dicts import layouts, leaves
from neural_epitome.state_dicts.layouts import Layout
from neural_epitome.state_dicts.leaves import Leaf

_WHAT = "An ONNX file"
_RECURRENT = ("LSTM", "GRU", "RNN")
# Operators that pass an array on.
_PASSING = ("Identity", "Cast", "Transpose", "QuantizeLinear", "DequantizeLinear")


@dataclasses.dataclass(frozen=True)
class _Reader:
  """An operator that reads an array, as its input of this number."""

  node: Any
  place: int
  # Axis of the array in the file for every axis that the operator reads.
  axes: tuple[int, ...]


def read(path: pathlib.Path) -> tuple[dict[str, Leaf], dict[str, Layout | None]]:
  """The floating-point arrays of a graph, and how its operators read those of kernels.

  Initialisers and the values of constants with axes, also of the graphs inside
  operators. Names are those of the file.

  Returns:
    Arrays by name; layouts of those that an operator says it of, None of biases.

  Raises:
    UserError: if `onnx` is not installed; for arrays that are quantised or in another
      file; the sentence wants the file's name before it.
    Exception: of many kinds, if the file is damaged.
  """
  onnx = packages.needed("onnx", "onnx", _WHAT)
  model = onnx.load_model_from_string(path.read_bytes())
  room = path.stat().st_size
  readers: dict[str, list[tuple[Any, int]]] = {}
  for node in nodes(model):
    for place, name in enumerate(node.input):
      readers.setdefault(name, []).append((node, place))
  arrays: dict[str, Leaf] = {}
  kernels: dict[str, Layout | None] = {}
  for name, tensor in tensors(model):
    leaf = _leaf(onnx, name, tensor, room)
    using = list(_readers(name, len(leaf.shape), readers))
    if len(leaf.shape) > 1 and not leaf.is_floating:
      _refuse_quantised(name, [node.op_type for node, _ in readers.get(name, ())])
    if not leaf.shape or not (leaf.is_floating or not leaf.is_known):
      continue
    if name in arrays:
      raise UserError(f"has two arrays of the name {leaves.shown(name)}.")
    arrays[name] = leaf
    if any(one.node.op_type in _RECURRENT and one.place > 2 for one in using):
      kernels[name] = None
    elif layouts.is_kernel(name, leaf) and (layout := _layout(using)):
      kernels[name] = layout
  return arrays, kernels


def graphs(model: Any) -> Iterator[Any]:
  """The main graph and those inside operators, of functions as well."""
  yield model.graph
  for node in nodes(model):
    for attribute in node.attribute:
      if attribute.HasField("g"):
        yield attribute.g
      yield from attribute.graphs


def nodes(model: Any) -> Iterator[Any]:
  """All operators, of functions and of graphs inside operators as well."""
  waiting = [model.graph, *model.functions]
  while waiting:
    for node in waiting.pop(0).node:
      yield node
      for attribute in node.attribute:
        waiting += [attribute.g] if attribute.HasField("g") else []
        waiting += attribute.graphs


def tensors(model: Any) -> Iterator[tuple[str, Any]]:
  """Initialisers and constants of a model, by name, as they stand in it."""
  for graph in graphs(model):
    for tensor in graph.initializer:
      yield tensor.name, tensor
  yield from _constants(nodes(model))


def own_tensors(graph: Any) -> Iterator[tuple[str, Any]]:
  """Those of one graph, without the graphs inside its operators."""
  for tensor in graph.initializer:
    yield tensor.name, tensor
  yield from _constants(graph.node)


def _constants(every: Iterable[Any]) -> Iterator[tuple[str, Any]]:
  for node in every:
    if node.op_type == "Constant" and len(node.output) == 1:
      for attribute in node.attribute:
        if attribute.HasField("t"):
          yield node.output[0], attribute.t


def _leaf(onnx: Any, name: str, tensor: Any, room: int) -> Leaf:
  if tensor.data_location == onnx.TensorProto.EXTERNAL:
    raise UserError(
      f"keeps {leaves.shown(name)} in another file: onnx.save_model(onnx.load(FILE), "
      "NEW) puts all into one."
    )
  shape = tuple(tensor.dims)
  if any(n < 0 for n in shape) or math.prod(shape) > 8 * room:
    raise ValueError(f"{leaves.shown(name)} of shape {shape!s:.80}")
  kind = str(onnx.TensorProto.DataType.Name(tensor.data_type)).lower()
  dtype: str = {"float": "float32", "double": "float64"}.get(kind, kind)
  return Leaf(shape, dtype, lambda: leaves.widened(onnx.numpy_helper.to_array(tensor)))


def _readers(
  name: str, axes: int, readers: Mapping[str, list[tuple[Any, int]]]
) -> Iterator[_Reader]:
  """What reads an array of so many axes, itself or passed on."""
  waiting, seen = [(name, tuple(range(axes)))], {name}
  while waiting:
    passed, order = waiting.pop()
    for node, place in readers.get(passed, ()):
      if node.op_type not in _PASSING:
        yield _Reader(node, place, order)
        continue
      turned = order
      if node.op_type == "Transpose":
        permutation = _attribute(node, "perm") or range(axes)[::-1]
        if sorted(permutation) != list(range(axes)):
          raise ValueError(
            f"a Transpose of {leaves.shown(name)} by {permutation!s:.80}"
          )
        turned = tuple(order[axis] for axis in permutation)
      # A damaged graph may pass an array on to itself.
      waiting += [(output, turned) for output in node.output if output not in seen]
      seen.update(node.output)


def _refuse_quantised(name: str, operators: list[str]) -> None:
  for operator in operators:
    is_quantised = operator.startswith(("QLinear", "DequantizeLinear", "MatMulNBits"))
    if is_quantised or operator.endswith("Integer"):
      raise UserError(
        f"has quantised weights: {operator} reads {leaves.shown(name)}. Compress the "
        "file that it was made from."
      )


def _layout(using: list[_Reader]) -> Layout | None:
  """As the first operator reads it that says how."""
  for one in using:
    layout = _read_by(one.node, one.place, len(one.axes))
    if layout:
      return dataclasses.replace(
        layout,
        window=tuple(one.axes[axis] for axis in layout.window),
        inputs=tuple(one.axes[axis] for axis in layout.inputs),
        outputs=tuple(one.axes[axis] for axis in layout.outputs),
      )
  return None


def _read_by(node: Any, place: int, axes: int) -> Layout | None:
  operator = node.op_type
  name = f"onnx {operator}"
  rows = Layout(name, tuple(range(axes - 2)), (axes - 1,), (axes - 2,))
  if operator in _RECURRENT:  # (directions, gates, inputs); the third is the bias
    return Layout(name, (), (2,), (0, 1)) if place in (1, 2) and axes == 3 else None
  if place != 1 and "Conv" in operator:
    return None
  if operator == "Conv":
    return layouts.outputs_first(name, axes)
  if operator == "ConvTranspose":
    return layouts.transposed(name, axes)
  if operator == "Gemm" and place < 2:
    is_turned = bool(_attribute(node, "transB" if place else "transA"))
    return rows if is_turned == bool(place) else layouts.inputs_first(name, axes)
  if operator == "MatMul" and not place:  # a kernel on the left: (outputs, inputs)
    return rows
  if operator == "MatMul" or (operator == "Gather" and not place):
    return layouts.inputs_first(name, axes)
  return None


def _attribute(node: Any, name: str) -> Any:
  """An attribute of one or several integers; None if it is not there."""
  for attribute in node.attribute:
    if attribute.name == name:
      return list(attribute.ints) or attribute.i
  return None
