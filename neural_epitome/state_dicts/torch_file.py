"""Reads what `torch.save` wrote, without torch and without running anything of it.

The file is a zip archive: `NAME/data.pkl` is a pickle of the dictionary, in which every
tensor stands as a storage's key, an offset, a shape and strides; `NAME/data/KEY` are
the bytes of a storage, and `NAME/byteorder` says how they are to be read.

Before torch 1.6 it was five pickles in a row: a number that marks the format, its
version, a description of the machine, the dictionary, and the storages' keys in the
order in which their bytes follow, each after their count.
"""

import io
import math
import os
import pathlib
import pickle
import zipfile
from typing import Any, Literal

import numpy as np

from neural_epitome.errors import UserError
from neural_epitome.state_dicts.torch_pickle import BFLOAT16, Storage, Tensor, unpickle

_OLD = [0x1950A86A20F9469CFC6C, 1001]
# Where a checkpoint of a training keeps its weights; averaged ones are taken first.
_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
# What a damaged or hostile file makes the parts below raise.
_WRONG = (
  ArithmeticError, AttributeError, EOFError, ImportError, LookupError, MemoryError,
  NotImplementedError, RuntimeError, TypeError, ValueError, pickle.UnpicklingError,
  zipfile.BadZipFile,
)  # fmt: skip


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """The tensors by name of a state dict in a file of `torch.save`.

  A checkpoint that keeps it as `state_dict`, `model` or their averaged forms is
  unwrapped. What is no tensor is left out.

  Returns:
    Arrays, read only: float32 for every floating type, else integers.

  Raises:
    UserError: if the file is damaged, of another format, or its pickle names anything
      but tensors and dictionaries.
    FileNotFoundError: if there is none.
  """
  path = pathlib.Path(path)
  room = path.stat().st_size
  try:
    if not zipfile.is_zipfile(path):
      return _read_old(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
      # Nothing is compressed, so nothing can take more room than the file.
      if sum(member.file_size for member in archive.infolist()) > room:
        raise ValueError("its members are compressed or overlap")
      return _read(archive, room)
  except UserError as error:
    raise UserError(f"{path} {error}") from None
  except _WRONG as error:
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    raise UserError(f"{path} is no readable file of torch.save ({reason}).") from None


def _read(archive: zipfile.ZipFile, room: int) -> dict[str, np.ndarray]:
  (pickled,) = (
    name for name in archive.namelist() if name.split("/")[1:] == ["data.pkl"]
  )
  folder = pickled.removesuffix("data.pkl")
  order = b"little"
  if folder + "byteorder" in archive.namelist():
    order = archive.read(folder + "byteorder")
  signs: dict[bytes, Literal["<", ">"]] = {b"little": "<", b"big": ">"}
  sign = signs[order]
  said, _ = unpickle(io.BytesIO(archive.read(pickled)))
  tensors = _tensors(said, room)
  storages = {
    storage: _numbers(archive.read(f"{folder}data/{storage.key}"), storage, sign)
    for storage in {tensor.storage for tensor in tensors.values()}
  }
  return {name: _view(storages[one.storage], one) for name, one in tensors.items()}


def _read_old(content: bytes) -> dict[str, np.ndarray]:
  stream = io.BytesIO(content)
  if [unpickle(stream)[0] for _ in _OLD] != _OLD:
    raise ValueError("neither its zip format nor the old one")
  sign: Literal["<", ">"] = "<" if unpickle(stream)[0]["little_endian"] else ">"
  (said, known), (keys, _) = unpickle(stream), unpickle(stream)
  tensors, storages = _tensors(said, len(content)), {}
  for key in keys:
    storage = known[key]
    bytes_each = 2 if storage.dtype == BFLOAT16 else np.dtype(storage.dtype).itemsize
    count = int(np.frombuffer(stream.read(8), sign + "i8")[0])
    if count != storage.size:
      raise ValueError(f"storage {key} has {count} numbers")
    storages[storage] = _numbers(stream.read(count * bytes_each), storage, sign)
  return {name: _view(storages[one.storage], one) for name, one in tensors.items()}


def _tensors(content: Any, room: int) -> dict[str, Tensor]:
  for _ in _WRAPPERS:  # no deeper: a dictionary may hold itself
    if isinstance(content, dict):
      inner = (content.get(key) for key in _WRAPPERS)
      content = next((one for one in inner if isinstance(one, dict)), content)
  tensors = content.items() if isinstance(content, dict) else ()
  named = {k: v for k, v in tensors if isinstance(k, str) and isinstance(v, Tensor)}
  if not named:
    raise UserError("holds no state dict: torch.save(model.state_dict(), FILE).")
  if sum(math.prod(tensor.shape) for tensor in named.values()) > room:
    raise ValueError("its tensors have more numbers than the file has bytes")
  return named


def _numbers(content: bytes, storage: Storage, sign: Literal["<", ">"]) -> np.ndarray:
  """The numbers of a storage: float32 for the floating types, integers as they are."""
  is_half = storage.dtype == BFLOAT16
  dtype = np.dtype("u2" if is_half else storage.dtype).newbyteorder(sign)
  if len(content) != storage.size * dtype.itemsize:
    raise ValueError(f"storage {storage.key} has {len(content)} bytes")
  row = np.frombuffer(content, dtype)
  if is_half:
    return (row.astype(np.uint32) << 16).view(np.float32)
  with np.errstate(over="ignore"):  # what float32 cannot hold is refused as infinite
    native = np.float32 if dtype.kind == "f" else dtype.newbyteorder("=")
    return row.astype(native, copy=False)


def _view(row: np.ndarray, tensor: Tensor) -> np.ndarray:
  _, offset, shape, strides = tensor
  count = math.prod(shape)
  furthest = sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
  if count and (count > row.size or offset + furthest >= row.size):
    raise ValueError(f"a tensor of shape {shape} lies outside of its storage")
  steps = [step * row.itemsize for step in strides] if count else None
  return np.ndarray(shape, row.dtype, row, offset * row.itemsize if count else 0, steps)
