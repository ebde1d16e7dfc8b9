"""Kernels of a network as they are stored, in its ONNX graph.

The graph is converted with these kernels among its inputs. Each then becomes what
`weight_files.onnx_kernels` computes of packed starts and a ring, or of integers; a
runtime does so once, when it loads the file.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neural_epitome import packages
from neural_epitome.compression import compact_reader
from neural_epitome.compression.compact_reader import Network
from neural_epitome.epitome import flat_variables
from neural_epitome.epitome.generators import Dense, WindowedEpitome
from neural_epitome.export import compact, graph
from neural_epitome.training.trained import Trained
from neural_epitome.weight_files import onnx_kernels
from neural_epitome.weight_files.onnx_kernels import Place
from neural_epitome.weight_files.onnx_parts import Parts


def paths(stored: Trained) -> list[str]:
  """Kernels that are smaller so: of windows, or dense in few bits."""
  plan = stored.plan
  return [
    path
    for path, kernel in plan.kernels.items()
    if isinstance(kernel.generator, WindowedEpitome)
    or (
      isinstance(kernel.generator, Dense)
      and plan.tensors[kernel.tensors["kernel"]].bits < 32
    )
  ]


def put(
  content: bytes, names: Mapping[str, str], stored: Trained, run: Trained
) -> bytes:
  """A graph without some of its inputs, which it computes instead.

  Args:
    content: of an ONNX file.
    names: of its inputs that are kernels, and these kernels' paths.
    stored: from `inference_model.shipped`.
    run: the same as a program, with these kernels in full.
  """
  onnx = packages.needed("onnx", "onnx", "--format=onnx")
  model = onnx.load_model_from_string(content)
  params = flat_variables.parameters(run.variables)
  network, factors = _network(stored), _factors(stored, params)
  parts = Parts(onnx, "stored_")
  for name, path in names.items():
    full, before = params[path], parts.state()
    place = Place(tuple(range(full.ndim)), full.shape)
    made = onnx_kernels.add(parts, network, path, place)
    if path in factors:
      parts.node("Mul", made, parts.constant(place.of_outputs(factors[path])))
    is_smaller = parts.nbytes(before) < full.nbytes
    if is_smaller and len(parts.nodes) > before.nodes:
      parts.name_last(name)
      continue
    parts.undo(before)
    parts.tensors.append(onnx.numpy_helper.from_array(np.float32(full), name))
  inputs = [one for one in model.graph.input if one.name not in names]
  _replace(model.graph, "input", inputs)
  _replace(model.graph, "node", [*parts.nodes, *model.graph.node])
  model.graph.initializer.extend(parts.tensors)
  return model.SerializeToString()


def _network(stored: Trained) -> Network:
  with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "network.safetensors"
    compact.write(path, stored)
    return compact_reader.read(path)


def _factors(stored: Trained, run: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """What the outputs of kernels are multiplied with: scales of norms merged in them."""
  params = flat_variables.parameters(stored.variables)
  norms = {path: f"{site.norm}/scale" for path, site in graph.find(stored).items()}
  return {
    path: np.asarray(params[norm], np.float32)
    for path, norm in norms.items()
    if norm in params and norm not in run
  }


def _replace(of: Any, field: str, entries: list[Any]) -> None:
  copies = [type(one).FromString(one.SerializeToString()) for one in entries]
  of.ClearField(field)
  getattr(of, field).extend(copies)
