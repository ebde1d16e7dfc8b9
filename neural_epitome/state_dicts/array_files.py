"""Files of named arrays, without more: .safetensors and .npz."""

import math
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors

from neural_epitome.errors import UserError
from neural_epitome.state_dicts import leaves
from neural_epitome.state_dicts.leaves import Leaf

OURS = "neural_epitome"
# Of NumPy's and of torch's quantised ones; others are named as they are in the file.
_DTYPES = {
  "BF16": "bfloat16", "BOOL": "bool", "F16": "float16", "F32": "float32",
  "F64": "float64", "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64",
  "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64",
}  # fmt: skip
_NPY = ".npy"


def read_safetensors(path: pathlib.Path) -> Mapping[str, Any]:
  """A leaf for every array of a .safetensors file, nested as its names are.

  Raises:
    UserError: for a compact file of ours; the sentence wants the name before it.
    Exception: of many kinds, if the file is damaged.
  """
  with safetensors.safe_open(path, "numpy") as file:
    names = file.offset_keys()
    if (file.metadata() or {}).get("format") == OURS:
      raise UserError(
        "is a compact file of this package, and compressed already: --mode=evaluate, "
        "export or compare take it, and ne.load."
      )
  tensors = dict(safetensors.deserialize(path.read_bytes()))  # in no order
  return nested({name: _leaf(**tensors[name]) for name in names})


def _leaf(dtype: str, shape: list[int], data: bytes) -> Leaf:
  name = _DTYPES.get(dtype, dtype)

  def load() -> np.ndarray:
    numbers = leaves.numpy_dtype(name).newbyteorder("<")
    row = np.frombuffer(data, numbers).reshape(shape)
    return leaves.widened(row.astype(numbers.newbyteorder("="), copy=False))

  return Leaf(tuple(shape), name, load)


def read_npz(path: pathlib.Path) -> Mapping[str, Any]:
  """A leaf for every array of an .npz file, nested as its names are.

  Raises:
    UserError: for two arrays of one name, and for names and sizes that no network has;
      the sentence wants the file's name before it.
    Exception: of many kinds, if the file is damaged or has objects.
  """
  arrays: dict[str, Leaf] = {}
  with zipfile.ZipFile(path) as archive:
    needed = sum(member.file_size for member in archive.infolist())
    leaves.check_room(needed, path.stat().st_size)
    for member in archive.infolist():
      name = member.filename.removesuffix(_NPY)
      if name in arrays:
        raise UserError(f"has two arrays of the name {leaves.shown(name)}.")
      if member.filename.endswith(_NPY):
        arrays[name] = leaves.of_array(_read_npy(archive, member))
  return nested(arrays)


def _read_npy(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
  with archive.open(member) as file:
    headers = {
      (1, 0): np.lib.format.read_array_header_1_0,
      (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, is_fortran, dtype = headers[np.lib.format.read_magic(file)](file)
    if dtype.kind not in "biufcV" or dtype.names or dtype.subdtype:
      raise ValueError(f"{member.filename:.80} is of {dtype!s:.80}")
    if any(n < 0 for n in shape) or math.prod(shape) > member.file_size:
      raise ValueError(f"{member.filename:.80} of shape {shape!s:.80}")
    row = np.frombuffer(file.read(), dtype)
  if dtype == "V2":  # what NumPy makes of ml_dtypes' bfloat16
    row = row.view(leaves.numpy_dtype("bfloat16"))
  array = row.reshape(shape, order="F" if is_fortran else "C")
  return array.astype(array.dtype.newbyteorder("="), copy=False)


def nested(arrays: Mapping[str, Leaf]) -> Mapping[str, Any]:
  """Arrays under the parts of their names between slashes, as Flax names them.

  As they are, if no name has a slash or one array would lie below another.

  Raises:
    UserError: for a name that is none; the sentence wants the file's name before it.
  """
  tree: dict[str, Any] = {}
  for name, leaf in arrays.items():
    leaves.check_name(name)
    *keys, last = name.split("/")
    below = tree
    for key in keys:
      below = below.setdefault(key, {})
      if isinstance(below, Leaf):
        return arrays
    if last in below:
      return arrays
    below[last] = leaf
  return tree
