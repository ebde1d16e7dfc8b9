"""Writes an ONNX file again with other values in its initialisers and constants."""

import os
import pathlib
from collections.abc import Mapping

import numpy as np

from neural_epitome import packages
from neural_epitome.errors import UserError
from neural_epitome.state_dicts import leaves, onnx_file


def write(
  path: str | os.PathLike,
  arrays: Mapping[str, np.ndarray],
  source: str | os.PathLike,
) -> None:
  """Writes the graph of an ONNX file with these arrays in the place of its own.

  Args:
    path: of the file.
    arrays: by their names in the source, in its shapes and types.
    source: an ONNX file that `weights_file.read` reads; may be the same path.

  Raises:
    UserError: if `onnx` is not installed, or the source cannot be read or has not
      these arrays in these shapes.
  """
  onnx = packages.needed("onnx", "onnx", "An ONNX file")
  try:
    model = onnx.load_model_from_string(pathlib.Path(source).read_bytes())
  except OSError as error:
    raise UserError(f"{source} cannot be read: {error.strerror}.") from None
  except Exception as error:  # of whatever type: the file is not to be trusted
    reason = leaves.shown(f"{type(error).__name__}: {error}".splitlines()[0], 200)
    raise UserError(f"{source} is no readable ONNX file ({reason}).") from None
  found = dict(onnx_file.tensors(model))
  for name, array in arrays.items():
    if name not in found or tuple(found[name].dims) != array.shape:
      raise UserError(
        f"{source} has no {leaves.shown(name)} of shape {list(array.shape)}: it is not "
        "the graph that was compressed."
      )
    tensor = onnx.numpy_helper.from_array(array, found[name].name)
    found[name].CopyFrom(tensor)
  pathlib.Path(path).write_bytes(model.SerializeToString())
