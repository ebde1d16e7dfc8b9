"""What windows of a kernel take in a file."""

import math

import numpy as np

from neural_epitome.compression.storage import Storage
from neural_epitome.epitome.generators import WindowedEpitome
from neural_epitome.epitome.sampling import Shape


def expected(
  generator: WindowedEpitome,
  shape: Shape,
  bits: int,
  counts: np.ndarray,
  storage: Storage,
) -> float:
  """Bytes of a kernel of this shape, about, whose starts are as frequent as a sample's.

  Args:
    generator: of the windows.
    shape: of the kernel.
    bits: of a number of the ring.
    counts: (L,) of the starts of the sample.
    storage: what is stored for.
  """
  total, sample = math.prod(generator.offsets(shape)["start"]), counts.sum()
  packed = total * generator.offset_bits("start") / 8
  starts = packed
  if storage.is_coded:
    used = counts[counts > 0]
    each = float(np.sum(used * np.log2(sample / used))) / sample
    # What the table of frequencies takes, about.
    table = 17 + (generator.length if generator.length <= 64 else 0.4 * len(used) + 90)
    starts = min(total * each / 8 + table, packed)
  return starts + beside(generator, shape, bits, storage)


def beside(
  generator: WindowedEpitome, shape: Shape, bits: int, storage: Storage
) -> int:
  """Bytes of the ring, of scales, and of what the format takes."""
  ring = generator.length * bits // 8 + (4 if bits <= 8 else 0)
  scale = 2 * shape[-1] if generator.scaled else 0
  return ring + scale + storage.beside(generator, bits)
