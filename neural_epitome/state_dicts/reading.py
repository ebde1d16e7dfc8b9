"""A file of weights as arrays by name."""

import os
import pathlib

import numpy as np
from safetensors import safe_open

from neural_epitome.state_dicts import array_files, recognition, weights_file

_TORCH = (".bin", ".pt", ".pth")


def is_state_dict(path: str | os.PathLike) -> bool:
  """Whether this is a file of plain weights, and neither run nor compact file.

  Of any format; of torch, also one that is damaged or absent.
  """
  path = pathlib.Path(path)
  if path.is_dir() or path.suffix in _TORCH:
    return not path.is_dir()
  try:
    if recognition.kind(path) != "safetensors":
      return True
    with safe_open(path, "numpy") as file:
      return (file.metadata() or {}).get("format") != array_files.OURS
  except Exception:  # of whatever type: the file is not to be trusted
    return False


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """The arrays of a file of weights by name, whatever its format is.

  See `weights_file`: what wraps them is cut; that they are finite is not checked.

  Returns:
    Arrays in the file's shapes: float32 for every floating type, else integers.

  Raises:
    UserError: if the file is absent, damaged, of another format, or asks to run code.
  """
  return dict(weights_file.read_unchecked(path).arrays)
