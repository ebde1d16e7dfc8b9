"""The ONNX graph that was compressed, its kernels computed from what is stored of them.

ONNX Runtime does so when it loads the file, and then runs the graph of full kernels.
"""

from typing import Any

import numpy as np

from neural_epitome import packages
from neural_epitome.compression.compact_reader import Network
from neural_epitome.errors import UserError
from neural_epitome.state_dicts import onnx_file
from neural_epitome.weight_files import description, onnx_kernels
from neural_epitome.weight_files.onnx_kernels import Place
from neural_epitome.weight_files.onnx_parts import OPSET, Parts

# Fewest numbers that are worth an operator which widens them.
_FEWEST_HALVES = 64
# Since this version of the format, constants need not be inputs of the graph as well.
_IR_VERSION = 4


def load(graph: bytes) -> Any:
  """A model, whose operators may be those of small kernels.

  Raises:
    UserError: if `onnx` is not installed or the graph's opset is older than 11.
  """
  onnx = packages.needed("onnx", "onnx", "An ONNX file")
  model = onnx.load_model_from_string(graph)
  opset = max([one.version for one in model.opset_import if not one.domain] or [1])
  if opset < OPSET:
    raise UserError(
      f"The graph is of opset {opset}, and small kernels need {OPSET}: "
      "onnx.version_converter.convert_version(model, 13), or --format=onnx-float."
    )
  return model


def narrowed(network: Network, graph: bytes) -> bytes:
  """The file of a graph with small tensors in the place of its kernels.

  Values are those of the compact file, to the last bit. What describes operators for
  people (`doc_string`, `metadata_props`) is left out: it may be larger than all else.
  Constants in the model's own functions stay in full, as does what is smaller so.

  Args:
    network: a compact file that `compress_file` made of an ONNX file.
    graph: that ONNX file with the values of the compact one, in full.

  Raises:
    UserError: as `load`.
  """
  onnx, model = packages.needed("onnx", "onnx", "An ONNX file"), load(graph)
  every = network.kernels | network.tensors
  form = description.form(network.metadata["network"], every)
  # In a compact file, what all names begin with is left out.
  names = {"/".join(keys): name for name, keys in form.paths.items()}
  prefix = _unused_prefix(model)
  for number, of_model in enumerate(onnx_file.graphs(model)):
    parts = Parts(onnx, f"{prefix}{number}_")
    replaced = set()
    for name, tensor in onnx_file.own_tensors(of_model):
      if name not in names:
        continue
      before = parts.state()
      _add(parts, network, names[name], form.dtypes[names[name]])
      if len(parts.nodes) > before.nodes and parts.nbytes(before) < tensor.ByteSize():
        parts.name_last(name)
        replaced.add(name)
      else:
        parts.undo(before)
    _put(of_model, parts, replaced)
  model.ir_version = max(model.ir_version, _IR_VERSION)
  _without_descriptions(model)
  return model.SerializeToString()


def _add(parts: Parts, network: Network, name: str, dtype: str) -> None:
  """Adds what computes an array, if the compact file has it smaller than in full."""
  if name in network.kernels:
    layout, shape = description.layouts(network.metadata["network"])[name]
    made = onnx_kernels.add(parts, network, name, Place(layout.order, shape))
  else:
    stored = network.tensors.get(name)
    if stored is None or stored.dtype != np.float16 or stored.size < _FEWEST_HALVES:
      return
    made = parts.floats(stored)
  if dtype != "float32":
    parts.cast(made, dtype)


def _put(graph: Any, parts: Parts, replaced: set[str]) -> None:
  """Adds parts to a graph in the place of its constants and initialisers."""

  def is_kept(node: Any) -> bool:
    return node.op_type != "Constant" or node.output[0] not in replaced

  nodes = [*parts.nodes, *filter(is_kept, graph.node)]
  tensors = [one for one in graph.initializer if one.name not in replaced]
  inputs = [one for one in graph.input if one.name not in replaced]
  for field, entries in (
    ("node", nodes),
    ("initializer", [*tensors, *parts.tensors]),
    ("input", inputs),
  ):
    copies = [type(one).FromString(one.SerializeToString()) for one in entries]
    graph.ClearField(field)
    getattr(graph, field).extend(copies)


def _unused_prefix(model: Any) -> str:
  names = {name for node in onnx_file.nodes(model) for name in node.output}
  for graph in onnx_file.graphs(model):
    names |= {one.name for one in [*graph.initializer, *graph.input]}
  prefix = "k"
  while any(name.startswith(prefix) for name in names):
    prefix += "_"
  return prefix


def _without_descriptions(model: Any) -> None:
  values = [
    value
    for graph in onnx_file.graphs(model)
    for value in [graph, *graph.value_info, *graph.input, *graph.output]
  ]
  for part in [*onnx_file.nodes(model), *values]:
    for field in ("doc_string", "metadata_props"):
      if field in part.DESCRIPTOR.fields_by_name:
        part.ClearField(field)
