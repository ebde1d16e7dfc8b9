"""Files as torch writes them, assembled without torch, opcode by opcode."""

import dataclasses
import pickle
import struct
import zipfile
from typing import Any

import numpy as np

STORAGES = {
  "float32": "FloatStorage",
  "float64": "DoubleStorage",
  "float16": "HalfStorage",
  "int64": "LongStorage",
  "int32": "IntStorage",
  "uint8": "ByteStorage",
  "bool": "BoolStorage",
}


@dataclasses.dataclass(frozen=True)
class Global:
  """A function or class by module and name."""

  module: str
  name: str


@dataclasses.dataclass(frozen=True)
class Call:
  """A call of a global."""

  function: Any
  arguments: tuple


@dataclasses.dataclass(frozen=True)
class Persistent:
  """What is found outside of the pickle."""

  told: tuple


@dataclasses.dataclass(frozen=True)
class Built:
  """A value on which the pickle sets a state."""

  value: Any
  state: Any


@dataclasses.dataclass(frozen=True)
class Raw:
  """Opcodes."""

  code: bytes


def opcodes(value: Any) -> bytes:
  """What pushes a value on the stack of an unpickler."""
  match value:
    case Raw(code):
      return code
    case Global(module, name):
      return pickle.GLOBAL + f"{module}\n{name}\n".encode()
    case Call(function, arguments):
      return opcodes(function) + opcodes(arguments) + pickle.REDUCE
    case Persistent(told):
      return opcodes(told) + pickle.BINPERSID
    case Built(inner, state):
      return opcodes(inner) + opcodes(state) + pickle.BUILD
    case dict():
      pairs = b"".join(opcodes(k) + opcodes(v) for k, v in value.items())
      return pickle.EMPTY_DICT + pickle.MARK + pairs + pickle.SETITEMS
    case tuple():
      return pickle.MARK + b"".join(map(opcodes, value)) + pickle.TUPLE
    case str():
      text = value.encode()
      return pickle.BINUNICODE + struct.pack("<I", len(text)) + text
    case bool():
      return pickle.NEWTRUE if value else pickle.NEWFALSE
    case int():
      return pickle.LONG1 + b"\x08" + struct.pack("<q", value)
    case _:
      assert value is None
      return pickle.NONE


def storage(name: str, key: str, size: int) -> Persistent:
  return Persistent(("storage", Global("torch", name), key, "cpu", size))


def tensor(place: Any, offset: Any, shape: tuple, strides: tuple) -> Call:
  hooks = Call(Global("collections", "OrderedDict"), ())
  arguments = (place, offset, shape, strides, False, hooks)
  return Call(Global("torch._utils", "_rebuild_tensor_v2"), arguments)


def write(path, tree, storages=None, byteorder=b"little", **options):
  """Writes an archive of a tree and the bytes of storages by key."""
  with zipfile.ZipFile(path, "w", **options) as archive:
    archive.writestr("archive/data.pkl", b"\x80\x02" + opcodes(tree) + pickle.STOP)
    if byteorder is not None:
      archive.writestr("archive/byteorder", byteorder)
    for key, content in (storages or {}).items():
      archive.writestr(f"archive/data/{key}", content)


def write_old(path, tree, storages):
  """Writes the same as torch did before its files were archives."""
  order = {"little_endian": True, "protocol_version": 1001, "type_sizes": {}}
  magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
  said = b"\x80\x02" + opcodes(tree) + pickle.STOP
  parts = [magic, pickle.dumps(order, 2), said, pickle.dumps(sorted(storages), 2)]
  for _, (size, content) in sorted(storages.items()):
    parts += [struct.pack("<q", size), content]
  path.write_bytes(b"".join(parts))


def save(path, state, wrap=lambda tree: tree, old=False):
  """Writes arrays by name as `torch.save` writes a state dict."""
  tree, storages = {}, {}
  for key, (name, array) in enumerate(state.items()):
    array = np.asarray(array)
    strides = tuple(step // array.itemsize for step in array.strides)
    place = storage(STORAGES[array.dtype.name], str(key), array.size)
    tree[name] = tensor(place, 0, array.shape, strides)
    # In the order in which they lie, as torch keeps what was transposed.
    storages[str(key)] = array.ravel(order="K").tobytes()
  if old:
    sizes = [np.asarray(array).size for array in state.values()]
    write_old(
      path,
      wrap(tree),
      {str(key): (size, storages[str(key)]) for key, size in enumerate(sizes)},
    )
  else:
    write(path, wrap(tree), storages)
