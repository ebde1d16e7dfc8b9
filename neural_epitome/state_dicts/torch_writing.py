"""Writes what `torch.load(FILE, weights_only=True)` reads, without torch.

See `torch_file` for the format. The pickle is put together opcode by opcode: Python's
own pickler would have to import the functions that it names.
"""

import os
import pickle
import struct
import sys
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from neural_epitome.errors import UserError
from neural_epitome.state_dicts.leaves import shown

_STORAGES = {
  "bfloat16": "BFloat16Storage", "bool": "BoolStorage", "float16": "HalfStorage",
  "float32": "FloatStorage", "float64": "DoubleStorage", "int8": "CharStorage",
  "int16": "ShortStorage", "int32": "IntStorage", "int64": "LongStorage",
  "uint8": "ByteStorage",
}  # fmt: skip
_FOLDER = "archive/"
_VERSION = b"3\n"


def write(path: str | os.PathLike, tree: Mapping[str, Any]) -> None:
  """Writes nested dictionaries with arrays; one under two names is written once.

  Args:
    path: of the file.
    tree: arrays, or mappings of them, by keys.

  Raises:
    UserError: for an array of a type that torch has not.
  """
  arrays: list[np.ndarray] = []
  code = b"".join(_dictionary(tree, arrays))
  with zipfile.ZipFile(path, "w") as archive:
    members = {"data.pkl": pickle.PROTO + b"\x02" + code + pickle.STOP}
    members["byteorder"] = sys.byteorder.encode()
    for key, array in enumerate(arrays):
      members[f"data/{key}"] = array.tobytes()
    for name, content in (members | {"version": _VERSION}).items():
      # A ZipInfo has a fixed date: the same weights give the same bytes.
      archive.writestr(zipfile.ZipInfo(_FOLDER + name), content)


def _dictionary(tree: Mapping[str, Any], arrays: list[np.ndarray]) -> Iterator[bytes]:
  yield pickle.EMPTY_DICT + pickle.MARK
  for name, value in tree.items():
    yield _text(name)
    if isinstance(value, Mapping):
      yield from _dictionary(value, arrays)
    else:
      array = np.asarray(value, order="C")
      known = (key for key, one in enumerate(arrays) if one is array)
      key = next(known, len(arrays))
      yield _tensor(name, array, key)
      if key == len(arrays):
        arrays.append(array)
  yield pickle.SETITEMS


def _tensor(name: str, array: np.ndarray, key: int) -> bytes:
  if array.dtype.name not in _STORAGES:
    raise UserError(f"{shown(name)} is of {array.dtype.name}, which torch has not.")
  storage = _tuple(
    _text("storage"),
    _global("torch", _STORAGES[array.dtype.name]),
    _text(str(key)),
    _text("cpu"),
    _integer(array.size),
  )
  strides = (step // array.itemsize for step in array.strides)
  arguments = _tuple(
    storage + pickle.BINPERSID,
    _integer(0),
    _tuple(*map(_integer, array.shape)),
    _tuple(*map(_integer, strides)),
    pickle.NEWFALSE,  # whether it is trained
    _global("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE,  # hooks
  )
  return _global("torch._utils", "_rebuild_tensor_v2") + arguments + pickle.REDUCE


def _global(module: str, name: str) -> bytes:
  return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def _tuple(*items: bytes) -> bytes:
  return pickle.MARK + b"".join(items) + pickle.TUPLE


def _text(value: str) -> bytes:
  content = value.encode()
  return pickle.BINUNICODE + struct.pack("<I", len(content)) + content


def _integer(value: int) -> bytes:
  if value < 2**31:
    return pickle.BININT + struct.pack("<i", value)
  content = pickle.encode_long(value)
  return pickle.LONG1 + bytes([len(content)]) + content
