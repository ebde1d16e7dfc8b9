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

DTYPES = {"F32": "<f4", "F16": "<f2", "I32": "<i4", "I8": "i1", "U8": "u1"}
LARGEST_DESCRIPTION, LARGEST = 2**24, 2**28  # bytes; numbers in full, 1024 a byte too
MOST_SYMBOLS = 2**14  # that one row tells apart: each takes one word at most
TOTAL = 2**20  # of frequencies in one of several contexts
LONGEST = 2**16  # stream of symbols in context: one after the other takes its time


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
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
      (begin, stop), dtype = entry["data_offsets"], np.dtype(DTYPES[entry["dtype"]])
      _need(begin == end and stop <= len(data), f"{name} lies outside of the file")
      end, tensor = stop, np.frombuffer(data[begin:stop], dtype)
      _need(dtype.kind != "f" or np.isfinite(tensor).all(), f"{name} has NaN")
      tensors[name] = tensor.reshape(_checked(name, entry["shape"]))
    _need(end == len(data), "bytes that belong to no tensor")
    text = base64.b64decode(metadata["description"])
    description = json.loads(zlib.decompressobj().decompress(text, LARGEST_DESCRIPTION))
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


def frequencies(codes):
  """Of symbols, from codes of half an octave; 0 means that a symbol does not occur."""
  shift, odd = np.divmod(np.maximum(codes.astype(np.int64), 1) - 1, 2)
  counts = np.where(codes > 0, np.where(odd, 181, 128) << shift, 0)
  # No symbol is so rare that it would take more than one word.
  return np.where(codes > 0, np.maximum(counts, counts.sum() >> 15), 0)


def lanes(count):
  """How many streams a row of symbols is dealt out to, so that NumPy reads it fast."""
  return min(max(count >> 10, 1), 4096)


def in_context(codes):
  """Frequencies of symbols by context, codes (contexts, symbols), that sum to TOTAL."""
  counts = np.stack([frequencies(row) for row in codes])
  used = np.cumsum(counts > 0, 1)
  ends = np.cumsum(counts, 1) * (TOTAL - used[:, -1:]) // counts.sum(1, keepdims=True)
  return np.diff(ends + used, axis=1, prepend=0)


def coded(row, count, symbols, distance=0):
  """Symbols in 0 .. symbols - 1 of a row of bytes, entropy coded (interleaved rANS).

  The codes of the frequencies come first, coded likewise where they are many; then a
  state of 64 bits a lane, and words of 16 bits. Returns them, and the bytes behind.
  With a distance, the symbol so far before is the context: the number of contexts and
  where each but the first begins come before their codes.
  """
  edges, contexts = np.empty(0, int), 1
  if distance:
    contexts, row = int(row[0]), row[1:]
    edges, row = (
      row[: 2 * contexts - 2].view("<u2").astype(int),
      row[2 * contexts - 2 :],
    )
    _need(len(edges) == contexts - 1, "contexts")
  _need(contexts * symbols <= MOST_SYMBOLS, f"{symbols} different symbols")
  if contexts * symbols <= 64:
    codes, row = row[: contexts * symbols], row[contexts * symbols :]
  else:
    codes, row = coded(row, contexts * symbols, 64)
  _need(len(codes) == contexts * symbols and codes.max(initial=0) <= 41, "frequencies")
  codes = codes.reshape(contexts, symbols)
  _need(count == 0 or codes.any(1).all(), "frequencies")
  counts, size = frequencies(codes[0]), lanes(count)
  if distance:
    counts, size = in_context(codes).reshape(-1), min(size, distance)
    _need(count <= size * LONGEST, "too few streams")
  ends = np.cumsum(counts)
  total, starts = TOTAL if distance else max(int(ends[-1]), 1), ends - counts
  least = total << (44 - total.bit_length())
  head, row = np.split(row, [8 * size + 4])
  _need(len(head) == 8 * size + 4, "cut states")
  state, length = head[:-4].view("<u8").astype(np.int64), int(head[-4:].view("<u4")[0])
  words, row = np.split(row, [2 * length])
  _need(len(words) == 2 * length, "cut words")
  words = words.view("<u2")
  _need(((state >= least) & (state < least << 16)).all(), "states")
  # Before the first symbols lie some of the middle.
  result, at = np.full(distance + count, symbols // 2, np.int32), 0
  context = np.searchsorted(edges, np.arange(symbols), "right")
  for begin in range(0, count, size):
    now = state[: count - begin]  # a view
    base = context[result[begin : begin + len(now)]] if distance else 0
    slot = now % total + base * total
    symbol = np.searchsorted(ends, slot, "right")
    now[:] = counts[symbol] * (now // total) + slot - starts[symbol]
    low = np.flatnonzero(now < least)
    _need(at + len(low) <= length, "too few words")
    now[low] = (now[low] << 16) | words[at : at + len(low)]
    at += len(low)
    result[distance + begin : distance + begin + size] = symbol - base * symbols
  _need(at == length and (state == least).all(), "words that belong to no symbol")
  return result[distance:], row


class Network:
  """What a compact file holds: `tensors` as they are stored, and the `metadata`."""

  def __init__(self, tensors, metadata, largest=LARGEST):
    self.tensors, self.metadata = tensors, metadata
    self.kernels = metadata["plan"]["kernels"]
    size = sum(math.prod(_checked(n, k["shape"], 1)) for n, k in self.kernels.items())
    _need(size <= largest, f"{size:,} numbers in full are over largest={largest:,}")

  def numbers(self, name):
    """A stored tensor: integers, unpacked, their factors and bits; or floats, 1, 0."""
    stored, bits = self.tensors[name], 0 if self.tensors[name].dtype.kind == "f" else 8
    if stored.dtype == np.uint8:
      spec = self.metadata["plan"]["tensors"][name]
      bits = spec["bits"] if "bits" in spec else self.metadata["bits"][name]  # plan 1
      _need(bits in range(1, 9), f"{name} of {bits} bits")
      stored = unpacked(stored, spec["shape"], bits)
      stored = 2 * stored - 1 if bits == 1 else stored - (1 << (bits - 1))
    return stored, self.tensors[name + ".scale"] if bits else 1, bits

  def tensor(self, name):
    """A stored tensor in float32."""
    stored, scale, _ = self.numbers(name)
    return np.asarray(stored * np.broadcast_to(scale, stored.shape), np.float32)

  def offsets(self, path):
    """The routing maps of a kernel by axis, unpacked or decoded."""
    layer = f"{path.removesuffix('kernel').removesuffix('/')}/offsets.".lstrip("/")
    maps = {k[len(layer) :]: t for k, t in self.tensors.items() if k.startswith(layer)}
    spec, shape = self.kernels[path]["generator"], self.kernels[path]["shape"]
    if spec["kind"] != "windowed_epitome":
      return maps
    window, length, row = [*spec["window"], 1], spec["length"], maps["start"]
    counts = [-(-n // w) for n, w in zip(shape, window, strict=False)]
    if spec.get("coded_bytes") is None:
      starts = unpacked(row, counts, (length - 1).bit_length() or 1)
    else:
      axis, order = spec.get("context"), counts
      if axis is not None:
        order = [counts[axis], *counts[:axis], *counts[axis + 1 :]]
      distance = 0 if axis is None else math.prod(order[1:])
      starts, row = coded(row, math.prod(counts), length, distance)
      _need(not len(row), "bytes behind the starts")
      starts = np.moveaxis(starts.reshape(order), 0, axis or 0)
    _need((starts < length).all(), "starts outside of the ring")
    return {"start": starts.reshape(counts)}

  @np.errstate(divide="raise", invalid="raise", over="raise")
  def kernel(self, path):
    """A kernel in full, float32. Raises CompactError if its parts do not fit."""
    entry, shape = self.kernels[path], tuple(self.kernels[path]["shape"])
    try:
      maps = self.offsets(path)
      tensors = {role: self.tensor(name) for role, name in entry["tensors"].items()}
      spec = entry["generator"]
      kernel = KINDS[spec["kind"]](spec, tensors, maps, shape).reshape(shape)
      return kernel.reshape(self.metadata.get("shapes", {}).get(path, shape))
    except Exception as error:
      raise CompactError(f"{path}: {type(error).__name__}: {error}") from None

  def parameters(self):
    """Every kernel in full and everything beside them, by path."""
    read = {name for k in self.kernels.values() for name in k["tensors"].values()}
    beside = self.tensors.keys() - read - {name + ".scale" for name in read}
    rest = {n: self.tensors[n] for n in beside if "/offsets." not in f"/{n}"}
    rest = {k: np.float32(t) if t.dtype == "f2" else t for k, t in rest.items()}
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
  ring, window, start = tensors["ring"], [*spec["window"], 1], offsets["start"]
  where, axes = np.indices(shape, sparse=True), range(len(shape))
  _need(len(ring) == spec["length"], "ring")
  tap = 0
  for a in axes:
    tap = tap * window[a] + where[a] % window[a]
  first = start[tuple(where[a] // window[a] for a in axes)]
  return ring[(first + tap) % len(ring)] * tensors.get("scale", 1)


def _low_rank(spec, t, _, shape):
  kept = np.delete(np.arange(shape[-2]), spec.get("without", []))
  kernel, part = np.zeros(shape, "f4"), (*shape[:-2], len(kept), shape[-1])
  kernel[..., kept, :] = np.matmul(t["left"], t["right"], np.empty(part, "f4"))
  return kernel


KINDS = {
  "dense": lambda spec, tensors, *_: tensors["kernel"],
  "quantised": lambda spec, *rest: KINDS[spec["of"]["kind"]](spec["of"], *rest),
  "low_rank": _low_rank,
  **dict.fromkeys(["epitome", "channel_epitome"], _epitome),
  "shared_epitome": _shared_epitome,
  "windowed_epitome": _windowed_epitome,
}
