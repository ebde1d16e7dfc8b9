"""Writes weights as the file was that they came from, or in another format."""

import os
import pathlib
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from flax import serialization
from safetensors import SafetensorError
from safetensors.numpy import save_file

from neural_epitome import whole_files
from neural_epitome.errors import UserError
from neural_epitome.state_dicts import leaves, onnx_writing, torch_writing
from neural_epitome.state_dicts.leaves import shown
from neural_epitome.state_dicts.weights_file import Form


def write(
  path: str | os.PathLike,
  arrays: Mapping[str, np.ndarray],
  like: Form,
  kind: str | None = None,
  source: str | os.PathLike | None = None,
) -> None:
  """Writes arrays under the names, and in the types, that they had in a file.

  A file of torch or Flax gets the dictionaries back that its weights lay in, and all
  get the prefixes of names. What a checkpoint held beside weights is not written.

  Args:
    path: of the file.
    arrays: by the names of `WeightsFile.arrays`, in the file's shapes.
    like: `WeightsFile.form` of that file.
    kind: `torch`, `safetensors`, `npz`, `msgpack` or `onnx`; None for the kind of that
      file.
    source: that file; `onnx` needs it, for the graph.

  Raises:
    UserError: for another kind, arrays that the file had not, or a path that cannot be
      written.
  """
  kind = kind or like.kind
  is_graph = kind == like.kind == "onnx" and source is not None
  if kind not in _WRITERS and not is_graph:
    raise UserError(
      f"kind={kind!r} is not written of this: take one of {', '.join(_WRITERS)}."
    )
  if unknown := sorted(arrays.keys() - like.paths.keys()):
    raise UserError(f"{shown(unknown[0])} is no array of the file.")
  # What is one array here stays one there, where the format can say so.
  narrowed = {
    (id(array), like.dtypes[name]): _narrowed(array, like.dtypes[name])
    for name, array in arrays.items()
  }
  typed = {
    tuple(like.paths[name]): narrowed[id(array), like.dtypes[name]]
    for name, array in arrays.items()
  }
  # Torch's names stand in one dictionary, wherever that lies; others nest them.
  if like.kind == "torch" and kind != "torch":
    typed = {path[-1:]: array for path, array in typed.items()}
  elif kind == "torch" and like.kind != "torch":
    typed = {(name,): array for name, array in _flat(typed).items()}
  try:
    with whole_files.replacing(path) as partial:
      if is_graph and source is not None:
        onnx_writing.write(partial, _flat(typed), source)
      else:
        _WRITERS[kind](partial, typed)
  except UserError:
    raise
  except (OSError, RecursionError, SafetensorError, ValueError) as error:
    raise UserError(f"{path} cannot be written: {error}.") from None


def _narrowed(array: np.ndarray, dtype: str) -> np.ndarray:
  """An array in the file's type; what that cannot hold is its largest number."""
  narrow = leaves.numpy_dtype(dtype)
  if dtype in leaves.FLOATING and narrow.itemsize < array.dtype.itemsize:
    limit = leaves.largest(narrow)
    array = np.clip(array, -limit, limit)
  return np.asarray(array.astype(narrow, copy=False), order="C")


def _flat(arrays: Mapping[tuple[str, ...], np.ndarray]) -> dict[str, np.ndarray]:
  flat = {"/".join(path): array for path, array in arrays.items()}
  if len(flat) < len(arrays):
    raise UserError("Two arrays would have one name; a file of another kind has both.")
  return flat


def _nested(arrays: Mapping[tuple[str, ...], np.ndarray]) -> dict[str, Any]:
  tree: dict[str, Any] = {}
  for path, array in arrays.items():
    below = tree
    for key in path[:-1]:
      below = below.setdefault(key, {})
    below[path[-1]] = array
  return tree


def _safetensors(path: pathlib.Path, arrays: Mapping[Any, np.ndarray]) -> None:
  flat = _flat(arrays)
  if "__metadata__" in flat:
    raise UserError("__metadata__ cannot be an array of a .safetensors file.")
  # Libraries ask for it, and take Flax's files for torch's.
  save_file(flat, path, {"format": "pt"})


def _npz(path: pathlib.Path, arrays: Mapping[Any, np.ndarray]) -> None:
  with zipfile.ZipFile(path, "w") as archive:
    for name, array in _flat(arrays).items():
      # A ZipInfo has a fixed date: the same weights give the same bytes.
      with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
        plain = array.view("V2") if array.dtype.name == "bfloat16" else array
        np.lib.format.write_array(file, plain, allow_pickle=False)


def _torch(path: pathlib.Path, arrays: Mapping[Any, np.ndarray]) -> None:
  torch_writing.write(path, _nested(arrays))


def _msgpack(path: pathlib.Path, arrays: Mapping[Any, np.ndarray]) -> None:
  path.write_bytes(serialization.msgpack_serialize(_nested(arrays)))


_WRITERS: Mapping[str, Callable[[pathlib.Path, Mapping[Any, np.ndarray]], None]] = {
  "torch": _torch,
  "safetensors": _safetensors,
  "npz": _npz,
  "msgpack": _msgpack,
}
