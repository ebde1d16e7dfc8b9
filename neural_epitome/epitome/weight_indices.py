"""Which number of each tensor a weight is made of.

For generators whose weights are one number of each of their tensors, multiplied, up to
sign. No generator has to write its indices down: they are read off a kernel that is
generated from counters in place of stored numbers.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import numpy as np

from neural_epitome.epitome.generators import GeneratorSpec
from neural_epitome.epitome.sampling import Shape

# A float32 counts to 2**24 only, and a tensor may have more numbers: it is counted in
# digits.
_DIGIT = 2**22


@dataclass(frozen=True)
class WeightIndices:
  """What the W weights of a kernel are made of, in row-major order.

  Attributes:
    indices: (W,), int64, the flat index into each tensor, by its name.
    sign: (W,), float32, +1 or -1.
  """

  indices: Mapping[str, np.ndarray]
  sign: np.ndarray

  def factors(self, tensors: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """(W,), what the number of one tensor is multiplied by in every weight."""
    product = self.sign
    for other, index in self.indices.items():
      if other != name:
        product = product * tensors[other].reshape(-1)[index]
    return product


def find(
  generator: GeneratorSpec,
  shape: Shape,
  offsets: Mapping[str, np.ndarray],
  names: Mapping[str, str],
) -> WeightIndices:
  """The indices and signs of a kernel's weights.

  Args:
    generator: of the kernel.
    shape: of the kernel.
    offsets: its routing map, by axis.
    names: of its tensors, by role.

  Raises:
    ValueError: for a routing map that is not of whole cells.
  """
  shapes = generator.tensors(shape)
  ones = {role: np.ones(size, np.float32) for role, size in shapes.items()}
  indices, sign = {}, np.ones(1, np.float32)
  for role, size in shapes.items():
    total = int(np.prod(size, dtype=np.int64))
    index, unit = np.zeros(1, np.int64), 1
    while unit == 1 or total > unit:
      digit = np.arange(total) // unit % _DIGIT + 1
      counter = {role: digit.astype(np.float32).reshape(size)}
      counted = generate(generator, shape, ones | counter, offsets).reshape(-1)
      if not np.array_equal(counted, np.round(counted)):
        raise ValueError("A kernel is fitted for offsets of whole cells only.")
      index = index + unit * (np.abs(counted).astype(np.int64) - 1)
      sign, unit = np.sign(counted), unit * _DIGIT
    indices[names[role]] = index
  return WeightIndices(indices, sign)


def generate(
  generator: GeneratorSpec,
  shape: Shape,
  tensors: Mapping[str, np.ndarray],
  offsets: Mapping[str, np.ndarray],
) -> np.ndarray:
  """A kernel in full, from tensors by role and offsets by axis."""
  return np.asarray(_generate(generator, shape, dict(tensors), dict(offsets)))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _generate(generator, shape, tensors, offsets):
  return generator.generate(tensors, offsets, shape)
