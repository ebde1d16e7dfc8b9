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
LARGEST_DESCRIPTION, LARGEST = 2**24, 2**28  # bytes; numbers in full, 1024 a byte too


class CompactError(ValueError):
  """A file that is damaged, hostile or of another kind."""


def _need(holds, what):
  if not holds:
    raise CompactError(what)


def _checked(name, shape, least=0):
  fits = len(shape) <= 8 and all(type(n) is int and n >= least for n in shape)
  _need(fits, f"{name} of shape {shape}")
  return shape


def read(path, largest=None):
  """The `Network` of a file, of `largest` numbers in full at most. Or CompactError."""
  raw, tensors, end = np.fromfile(path, np.uint8).tobytes(), {}, 0
  start = 8 + int.from_bytes(raw[:8], "little")
  try:
    _need(8 < start <= len(raw), "cut, or no safetensors")
    header, data = json.loads(raw[8:start]), raw[start:]
    metadata = header.pop("__metadata__")
    _need(metadata.get("format") == "neural_epitome", "of another format")
    for name, told in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
      (begin, stop), dtype = told["data_offsets"], np.dtype(DTYPES[told["dtype"]])
      _need(begin == end and stop <= len(data), f"{name} lies outside of the file")
      end, tensor = stop, np.frombuffer(data[begin:stop], dtype)
      _need(dtype.kind != "f" or np.isfinite(tensor).all(), f"{name} has NaN")
      tensors[name] = tensor.reshape(_checked(name, told["shape"]))
    _need(end == len(data), "bytes that belong to no tensor")
    told = base64.b64decode(metadata["description"])
    description = json.loads(zlib.decompressobj().decompress(told, LARGEST_DESCRIPTION))
    for row, parts in description["parts"].items():
      left = tensors.pop(row)
      for name, shape in parts:
        piece, left = np.split(left, [math.prod(shape)])
        tensors[name] = piece.reshape(_checked(name, shape))
    return Network(tensors, description, largest or min(LARGEST, 1024 * len(raw)))
  except Exception as error:  # of whatever type: the file is not to be trusted
    raise CompactError(f"{path}: {type(error).__name__}: {error}") from None


def unpacked(row, shape, bits):
  """Unsigned integers of so many bits, the most significant first, from bytes."""
  shape = (*shape, bits)
  digits = np.unpackbits(row)[: math.prod(shape)].reshape(shape)
  return digits @ (1 << np.arange(bits)[::-1])


class Network:
  """What a compact file holds: `tensors` as they are stored, and the `metadata`."""

  def __init__(self, tensors, metadata, largest=LARGEST):
    self.tensors, self.metadata = tensors, metadata
    self.kernels = metadata["plan"]["kernels"]
    size = sum(math.prod(_checked(n, k["shape"], 1)) for n, k in self.kernels.items())
    _need(size <= largest, f"{size:,} numbers in full are over largest={largest:,}")

  def tensor(self, name):
    """A stored tensor in float32."""
    stored = self.tensors[name]
    if stored.dtype == np.uint8:
      spec = self.metadata["plan"]["tensors"][name]
      bits = spec["bits"] if "bits" in spec else self.metadata["bits"][name]  # plan 1
      _need(bits in range(2, 9), f"{name} of {bits} bits")
      stored = unpacked(stored, spec["shape"], bits) - (1 << (bits - 1))
    scale = self.tensors[name + ".scale"] if stored.dtype.kind != "f" else 1
    return np.asarray(stored * np.broadcast_to(scale, stored.shape), np.float32)

  @np.errstate(divide="raise", invalid="raise", over="raise")
  def kernel(self, path):
    """A kernel in full, float32. Raises CompactError if its parts do not fit."""
    layer = f"{path.removesuffix('kernel').removesuffix('/')}/offsets.".lstrip("/")
    maps = {k[len(layer) :]: t for k, t in self.tensors.items() if k.startswith(layer)}
    told, shape = self.kernels[path], tuple(self.kernels[path]["shape"])
    try:
      tensors = {role: self.tensor(name) for role, name in told["tensors"].items()}
      spec = told["generator"]
      kernel = KINDS[spec["kind"]](spec, tensors, maps, shape).reshape(shape)
      return kernel.reshape(self.metadata.get("shapes", {}).get(path, shape))
    except Exception as error:
      raise CompactError(f"{path}: {type(error).__name__}: {error}") from None

  def parameters(self):
    """Every kernel in full and everything beside them, by path."""
    read = {name for k in self.kernels.values() for name in k["tensors"].values()}
    beside = self.tensors.keys() - read - {name + ".scale" for name in read}
    rest = {name: self.tensors[name] for name in beside if "/offsets." not in name}
    return {path: self.kernel(path) for path in self.kernels} | rest


def _epitome(spec, tensors, offsets, shape):
  epitome, (row, column) = tensors["epitome"], np.indices(shape[-2:], sparse=True)
  size = (1, 1) if spec["kind"] == "channel_epitome" else epitome.shape[-2:]
  block = row // size[0], column // size[1]

  def starts(axis, last):  # where the block of every (input, output) channel begins
    value = np.asarray(offsets.get(axis, 0))
    _need(value.shape[2:] in ((), room.shape), f"{axis} offsets of {value.shape}")
    _need(((value >= 0) & (value <= last)).all(), f"offsets outside of the {axis} axis")
    if axis == "spatial" or not value.ndim:
      return value[block] if value.ndim == 3 else value
    return value[block if value.ndim == 2 else block[axis == "output"]]

  room, (rows, columns) = np.subtract(epitome.shape, shape)[:-2], epitome.shape[-2:]
  row = (row + starts("input", rows - 1)) % rows
  column = (column + starts("output", columns - 1)) % columns
  start = np.broadcast_to(starts("spatial", room), (*shape[-2:], len(room)))
  kernel, taps = 0, np.indices(shape, sparse=True)
  for corner in np.ndindex(*np.minimum(room, 1) + 1):
    cells, weight = [], np.float32(1)
    for axis, step in enumerate(corner):
      cell = np.clip(np.floor(start[..., axis]), 0, max(room[axis] - 1, 0)).astype(int)
      weight = weight * abs(1 - step - (start[..., axis] - cell))
      cells.append(np.minimum(taps[axis] + cell + step, epitome.shape[axis] - 1))
    if np.any(weight):
      kernel = kernel + weight * epitome[(*cells, row, column)]
  block = (block[spec["axis"] == "output"],) if "axis" in spec else block
  _need("scale" not in tensors or tensors["scale"].ndim == len(block), "scale's axes")
  return kernel * (tensors["scale"][block] if "scale" in tensors else 1)


def _shared_epitome(spec, tensors, offsets, shape):
  ring, scale = tensors["epitome"].reshape(-1), tensors["scale"].reshape(-1)
  index = np.arange(math.prod(shape))
  return scale[index // spec["block"]] * ring[(spec["start"] + index) % len(ring)]


def _windowed_epitome(spec, tensors, offsets, shape):
  ring, window, axes = tensors["ring"], spec["window"], range(len(shape) - 1)
  where, size = np.indices(shape[:-1]), [-(-shape[a] // window[a]) for a in axes]
  bits, inside = (len(ring) - 1).bit_length() or 1, [where[a] % window[a] for a in axes]
  starts = unpacked(offsets["start"], (*size, shape[-1]), bits)
  _need((starts < len(ring)).all(), "starts outside of the ring")
  first = starts[tuple(where[a] // window[a] for a in axes)]
  tap = np.asarray(np.ravel_multi_index(inside, window))[..., None]
  return ring[(first + tap) % len(ring)] * tensors["scale"]


KINDS = {
  "dense": lambda spec, tensors, *_: tensors["kernel"],
  "quantised": lambda spec, *rest: KINDS[spec["of"]["kind"]](spec["of"], *rest),
  "low_rank": lambda _, t, __, s: np.matmul(t["left"], t["right"], np.empty(s, "f4")),
  **dict.fromkeys(["epitome", "channel_epitome"], _epitome),
  "shared_epitome": _shared_epitome,
  "windowed_epitome": _windowed_epitome,
}
