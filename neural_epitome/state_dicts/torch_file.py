"""Reads what `torch.save` wrote, without torch and without running anything of it.

The file is a zip archive: `NAME/data.pkl` is a pickle of the dictionary, in which every
tensor stands as a storage's key, an offset, a shape and strides; `NAME/data/KEY` are
the bytes of a storage, and `NAME/byteorder` says how they are to be read.

Before torch 1.6 it was five pickles in a row: a number that marks the format, its
version, a description of the machine, the dictionary, and the storages' keys in the
order in which their bytes follow, each after their count.
"""

import functools
import io
import math
import pathlib
import zipfile
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from neural_epitome.errors import UserError
from neural_epitome.state_dicts import torch_objects
from neural_epitome.state_dicts.leaves import Leaf
from neural_epitome.state_dicts.torch_objects import Object
from neural_epitome.state_dicts.torch_pickle import (
  BFLOAT16,
  Pickled,
  Quantised,
  Storage,
  Tensor,
  unpickle,
)

_OLD = [0x1950A86A20F9469CFC6C, 1001]
_Numbers = Callable[[Storage], np.ndarray]


def read(path: pathlib.Path) -> Any:
  """All that a file of `torch.save` holds, with a leaf for every tensor.

  Objects of modules stand as their state dicts.

  Raises:
    UserError: if its pickle calls anything but tensors, dictionaries and plain values,
      or there is no tensor in it; the sentence wants the file's name before it.
    Exception: of many kinds, also when an array is loaded, if the file is damaged.
  """
  content = path.read_bytes()
  if not content.startswith(b"PK"):
    return _read_old(content)
  archive = zipfile.ZipFile(io.BytesIO(content))
  inner = {name.partition("/")[2]: name for name in archive.namelist()}
  if "constants.pkl" in inner:
    raise UserError(
      "is a TorchScript program: torch.save(torch.jit.load(FILE).state_dict(), NEW) "
      "makes weights of it."
    )
  # Nothing is compressed, so nothing can take more room than the file.
  if sum(member.file_size for member in archive.infolist()) > len(content):
    raise ValueError("its members are compressed or overlap")
  pickled = inner["data.pkl"]
  folder = pickled.removesuffix("data.pkl")
  order = archive.read(inner["byteorder"]) if "byteorder" in inner else b"little"
  signs: dict[bytes, Literal["<", ">"]] = {b"little": "<", b"big": ">"}
  sign = signs[order]

  def numbers(storage: Storage) -> np.ndarray:
    return _numbers(archive.read(f"{folder}data/{storage.key}"), storage, sign)

  return _tree(unpickle(io.BytesIO(archive.read(pickled))), functools.cache(numbers))


def _read_old(content: bytes) -> Any:
  stream = io.BytesIO(content)
  if [unpickle(stream).value for _ in _OLD] != _OLD:
    raise ValueError("neither its zip format nor the old one")
  sign: Literal["<", ">"] = "<" if unpickle(stream).value["little_endian"] else ">"
  pickled, keys = unpickle(stream), unpickle(stream).value
  rows = {}
  for key in keys:
    storage = pickled.storages[key]
    count = int(np.frombuffer(stream.read(8), sign + "i8")[0])
    if count != storage.size:
      raise ValueError(f"storage {key} has {count} numbers")
    rows[storage] = _numbers(
      stream.read(count * _dtype(storage).itemsize), storage, sign
    )
  return _tree(pickled, rows.__getitem__)


def _tree(pickled: Pickled, numbers: _Numbers) -> Any:
  """Dictionaries as they are nested, a leaf for every tensor, and nothing else."""
  made: dict[int, dict] = {}
  has_tensors = False

  def convert(value: Any) -> Any:
    nonlocal has_tensors
    if isinstance(value, tuple | list) and not isinstance(value, Tensor | Quantised):
      # What a quantised layer packs: its kernel and its bias.
      value = next((one for one in value if isinstance(one, Quantised)), None)
    if isinstance(value, Tensor | Quantised):
      has_tensors = True
      return _leaf(value, numbers)
    if isinstance(value, Object):
      value = _state_dict(value)
    if not isinstance(value, dict):
      return None
    if id(value) not in made:  # a dictionary may hold itself
      made[id(value)] = {}
      made[id(value)].update((key, convert(one)) for key, one in value.items())
    return made[id(value)]

  tree = convert(pickled.value)
  if has_tensors:
    return tree
  if pickled.unknown:
    raise torch_objects.refusal(pickled.unknown[0])
  raise UserError("holds no state dict: torch.save(model.state_dict(), FILE).")


def _state_dict(module: Object) -> dict[str, Any]:
  """What `state_dict()` of a pickled module would be; empty of another object."""
  tensors: dict[str, Any] = {}
  waiting, seen = [("", module)], set()
  while waiting:
    prefix, one = waiting.pop()
    state = one.state if isinstance(one, Object) else None
    if not isinstance(state, dict) or id(one) in seen:
      continue
    seen.add(id(one))
    for kind in ("_parameters", "_buffers"):
      for name, tensor in _items(state.get(kind)):
        tensors[f"{prefix}{name}"] = tensor
    inner = [(f"{prefix}{name}.", one) for name, one in _items(state.get("_modules"))]
    waiting += reversed(inner)
  return tensors


def _items(value: Any) -> list[tuple[Any, Any]]:
  return list(value.items()) if isinstance(value, dict) else []


def _leaf(tensor: Tensor | Quantised, numbers: _Numbers) -> Leaf:
  if isinstance(tensor, Quantised):
    return Leaf(tensor.shape, str(tensor.dtype), lambda: np.empty(0))
  name = tensor.storage.dtype
  name = name if name == BFLOAT16 else np.dtype(name).name
  return Leaf(
    tensor.shape, name, lambda: _view(numbers(tensor.storage), tensor), tensor
  )


def _dtype(storage: Storage) -> np.dtype:
  return np.dtype("u2" if storage.dtype == BFLOAT16 else storage.dtype)


def _numbers(content: bytes, storage: Storage, sign: Literal["<", ">"]) -> np.ndarray:
  """The numbers of a storage: float32 for the floating types, integers as they are."""
  is_half = storage.dtype == BFLOAT16
  dtype = _dtype(storage).newbyteorder(sign)
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
