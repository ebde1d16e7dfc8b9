"""Reads a compact file with NumPy and the standard library; may be copied elsewhere.

`read(path).parameters()` are every kernel in full, and the rest. It is .safetensors:
names are the plan's; small tensors of a dtype share a row, also factors (NAME.scale)
and routing maps (LAYER/offsets.AXIS). `description` is deflated JSON in base64.
"""

import base64
import json
import math
import zlib

import numpy as np

DTYPES = {"F32": "<f4", "I32": "<i4", "I8": "i1", "U8": "u1"}
LARGEST_DESCRIPTION, LARGEST_KERNEL = 2**26, 2**30
WRONG = AttributeError, LookupError, RecursionError, TypeError, ValueError, zlib.error


class CompactError(ValueError):
  """A file that is damaged, hostile or of another kind."""


def _need(holds, what):
  if not holds:
    raise CompactError(what)


def read(path):
  """The `Network` of a compact file. Raises CompactError, saying what is wrong."""
  raw = np.fromfile(path, np.uint8).tobytes()
  end = 8 + int.from_bytes(raw[:8], "little")
  try:
    _need(8 < end <= len(raw), "cut, or no safetensors")
    return Network(*_parse(json.loads(raw[8:end]), raw[end:]))
  except WRONG as error:
    raise CompactError(f"{path}: {type(error).__name__}: {error}") from None


def _parse(header, data):
  metadata, tensors, end = header.pop("__metadata__"), {}, 0
  _need(metadata.get("format") == "neural_epitome", "of another format")
  for name, told in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
    (begin, stop), dtype = told["data_offsets"], np.dtype(DTYPES[told["dtype"]])
    _need(begin == end and stop <= len(data), f"{name} lies outside of the file")
    tensors[name] = _shaped(np.frombuffer(data[begin:stop], dtype), name, told["shape"])
    _need(dtype.kind != "f" or np.isfinite(tensors[name]).all(), f"{name} has NaN")
    end = stop
  _need(end == len(data), "bytes that belong to no tensor")
  told = base64.b64decode(metadata["description"])
  description = json.loads(zlib.decompressobj().decompress(told, LARGEST_DESCRIPTION))
  for row, parts in description["parts"].items():
    left = tensors.pop(row)
    for name, shape in parts:
      piece, left = np.split(left, [math.prod(shape)])
      tensors[name] = _shaped(piece, name, shape)
  return tensors, description


def _shaped(row, name, shape):
  fits = all(type(n) is int and n >= 0 for n in shape) and math.prod(shape) == row.size
  _need(fits, f"{name} has {row.size} numbers, of shape {shape}")
  return row.reshape(shape)


class Network:
  """What a compact file holds: `tensors` as they are stored, and the `metadata`."""

  def __init__(self, tensors, metadata):
    self.tensors, self.metadata = tensors, metadata
    self.kernels = metadata["plan"]["kernels"]

  def tensor(self, name):
    """A stored tensor in float32."""
    stored, bits = self.tensors[name], self.metadata["bits"].get(name)
    if bits is not None:
      shape = (*self.metadata["plan"]["tensors"][name]["shape"], bits)
      digits = np.unpackbits(stored)[: math.prod(shape)].reshape(shape)
      stored = digits @ (1 << np.arange(bits)[::-1]) - (1 << (bits - 1))
    scale = self.tensors[name + ".scale"] if stored.dtype.kind != "f" else 1
    return np.asarray(stored * scale, np.float32)

  def kernel(self, path):
    """A kernel in full, float32. Raises CompactError if its parts do not fit."""
    told, layer = self.kernels[path], path.removesuffix("kernel").removesuffix("/")
    layer += "/offsets." if layer else "offsets."
    here = [name for name in self.tensors if name.startswith(layer)]
    offsets = {name.removeprefix(layer): self.tensors[name] for name in here}
    spec, shape = told["generator"], tuple(told["shape"])
    _need(math.prod(shape) <= LARGEST_KERNEL, f"{path} of shape {shape} is too large")
    try:
      tensors = {role: self.tensor(name) for role, name in told["tensors"].items()}
      kernel = KINDS[spec["kind"]](spec, tensors, offsets, shape).reshape(shape)
      return kernel.reshape(self.metadata.get("shapes", {}).get(path, shape))
    except WRONG as error:
      raise CompactError(f"{path}: {type(error).__name__}: {error}") from None

  def parameters(self):
    """Every kernel in full and everything beside them, by path."""
    roles = [name for k in self.kernels.values() for name in k["tensors"].values()]
    beside = self.tensors.keys() - {*roles, *(role + ".scale" for role in roles)}
    rest = {name: self.tensors[name] for name in beside if "/offsets." not in name}
    return {path: self.kernel(path) for path in self.kernels} | rest


def _epitome(spec, tensors, offsets, shape):
  epitome, (row, column) = tensors["epitome"], np.indices(shape[-2:])
  size = (1, 1) if spec["kind"] == "channel_epitome" else epitome.shape[-2:]
  block = row // size[0], column // size[1]

  def starts(axis, last):  # where the block of every (input, output) channel begins
    value = np.asarray(offsets.get(axis, 0))
    _need(((value >= 0) & (value <= last)).all(), f"offsets outside of the {axis} axis")
    if axis == "spatial" or not value.ndim:
      return value[block] if value.ndim == 3 else value
    return value[block if value.ndim == 2 else block[axis == "output"]]

  room, (rows, columns) = np.subtract(epitome.shape, shape)[:-2], epitome.shape[-2:]
  _need((room >= 0).all(), f"an epitome of {epitome.shape}")
  row = (row + starts("input", rows - 1)) % rows
  column = (column + starts("output", columns - 1)) % columns
  start = np.broadcast_to(starts("spatial", room), (*shape[-2:], len(room)))
  kernel, ones = 0, [1] * (len(room) + 2)
  for corner in np.ndindex((2,) * len(room)):
    cells, weight = [], np.float32(1)
    for axis, step in enumerate(corner):
      cell = np.clip(np.floor(start[..., axis]), 0, max(room[axis] - 1, 0)).astype(int)
      weight = weight * abs(1 - step - (start[..., axis] - cell))
      taps = np.arange(shape[axis]).reshape(*ones[:axis], -1, *ones[axis + 1 :])
      cells.append(np.minimum(taps + cell + step, epitome.shape[axis] - 1))
    if np.any(weight):
      kernel = kernel + weight * epitome[(*cells, row, column)]
  block = block[spec["axis"] == "output"] if "axis" in spec else block
  return kernel * (tensors["scale"][block] if "scale" in tensors else 1)


def _shared_epitome(spec, tensors, offsets, shape):
  index = np.arange(math.prod(shape))
  ring = tensors["epitome"][(spec["start"] + index) % len(tensors["epitome"])]
  return tensors["scale"][index // spec["block"]] * ring


KINDS = {
  "dense": lambda spec, tensors, *_: tensors["kernel"],
  "quantised": lambda spec, *rest: KINDS[spec["of"]["kind"]](spec["of"], *rest),
  "low_rank": lambda spec, tensors, *_: tensors["left"] @ tensors["right"],
  **dict.fromkeys(["epitome", "channel_epitome"], _epitome),
  "shared_epitome": _shared_epitome,
}
