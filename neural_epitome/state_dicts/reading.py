"""A file of weights as arrays by name."""

import os
import pathlib

import numpy as np
from safetensors import SafetensorError, safe_open

from neural_epitome.errors import UserError
from neural_epitome.state_dicts import torch_file

_TORCH = (".bin", ".pt", ".pth")
# What training on several devices, and compiling, put before every name.
_PREFIXES = ("module.", "_orig_mod.")


def is_state_dict(path: str | os.PathLike) -> bool:
  """Whether this is a file of plain weights, and neither run nor compact file."""
  path = pathlib.Path(path)
  if path.suffix != ".safetensors":
    return path.suffix in _TORCH and not path.is_dir()
  try:
    with safe_open(path, "numpy") as file:
      return (file.metadata() or {}).get("format") != "neural_epitome"
  except (OSError, SafetensorError):
    return False


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """The tensors of a .safetensors file or of one that `torch.save` wrote, by name.

  Prefixes of parallel and compiled modules are cut; see `torch_file.read`.

  Returns:
    Arrays in the file's shapes: float32 for every floating type, else integers.

  Raises:
    UserError: if the file is absent, damaged, of another format, or asks to run code.
  """
  path = pathlib.Path(path)
  try:
    is_torch = path.suffix != ".safetensors"
    arrays = torch_file.read(path) if is_torch else _safetensors(path)
  except FileNotFoundError:
    raise UserError(f"{path} does not exist.") from None
  except (OSError, SafetensorError, TypeError) as error:
    raise UserError(f"{path} cannot be read: {error}.") from None
  for prefix in _PREFIXES:
    if all(name.startswith(prefix) for name in arrays):
      arrays = {name.removeprefix(prefix): array for name, array in arrays.items()}
  return arrays


def _safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
  with safe_open(path, "numpy") as file:
    return {name: _widened(file.get_tensor(name)) for name in file.keys()}


def _widened(array: np.ndarray) -> np.ndarray:
  return array if array.dtype.kind in "biu" else array.astype(np.float32)
