"""What windows of a kernel take in a file."""

import math

import numpy as np

from neural_epitome.compression import compact_reader, entropy_coding
from neural_epitome.compression.storage import Storage
from neural_epitome.epitome.generators import WindowedEpitome
from neural_epitome.epitome.sampling import Shape

# Contexts by which choices are compared, and about what each level of one takes, bytes.
_CONTEXTS, _OF_LEVEL = 8, 0.45


def expected(
  generator: WindowedEpitome,
  shape: Shape,
  bits: int,
  starts: np.ndarray,
  storage: Storage,
) -> float:
  """Bytes of a kernel of this shape, about, whose starts are those of a sample.

  Args:
    generator: of the windows.
    shape: of the kernel.
    bits: of a number of the ring.
    starts: of the sample's windows, as many along each axis as it has.
    storage: what is stored for.
  """
  total = math.prod(generator.offsets(shape)["start"])
  packed = total * generator.offset_bits("start") / 8
  nbytes = packed
  if storage.is_coded:
    nbytes = min(_coded(generator, starts, total), packed)
  return nbytes + beside(generator, shape, bits, storage)


def _coded(generator: WindowedEpitome, starts: np.ndarray, total: int) -> float:
  if generator.context is not None:
    if starts.size == total:
      coded = entropy_coding.encode(starts, generator.length, generator.context)
      return float(len(coded))
    _, each, used = context(starts, generator.length)
    return total * each / 8 + _OF_LEVEL * used + 40
  counts = np.bincount(starts.reshape(-1))
  used = counts[counts > 0]
  each = float(np.sum(used * np.log2(starts.size / used))) / starts.size
  # What the table of frequencies takes, about.
  table = 17 + (generator.length if generator.length <= 64 else 0.4 * len(used) + 90)
  return total * each / 8 + table


def context(levels: np.ndarray, count: int) -> tuple[int | None, float, int]:
  """Along which axis the level before a level tells most of it.

  Args:
    levels: integers in 0 .. count - 1; neighbouring ones are of neighbouring numbers.
    count: of levels.

  Returns:
    The axis, None if there is none; bits of a level then; and how many levels contexts
    have in all.
  """
  found = []
  for axis in range(levels.ndim):
    if not 1 < levels.shape[axis] <= compact_reader.LONGEST:
      continue
    turned = np.moveaxis(levels, axis, 0).reshape(levels.shape[axis], -1)
    edges = entropy_coding.context_edges(turned, count, _CONTEXTS)
    context = np.searchsorted(edges, turned[:-1], "right")
    often = np.bincount((context * count + turned[1:]).reshape(-1))
    often = often[often > 0]
    whole = np.bincount(context.reshape(-1))
    whole = whole[whole > 0]
    bits = np.sum(whole * np.log2(whole)) - np.sum(often * np.log2(often))
    found.append((float(bits) / turned[1:].size, axis, len(often)))
  if not found:
    return None, math.log2(count), count
  each, axis, used = min(found)
  return axis, each, used


def beside(
  generator: WindowedEpitome, shape: Shape, bits: int, storage: Storage
) -> int:
  """Bytes of the ring, of scales, and of what the format takes."""
  ring = generator.length * bits // 8 + (4 if bits <= 8 else 0)
  scale = 2 * shape[-1] if generator.scaled else 0
  return ring + scale + storage.beside(generator, bits)
