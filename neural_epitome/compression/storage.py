"""What the file that a tree is stored for can do; prices of choices follow from it."""

import dataclasses
from collections.abc import Callable

from neural_epitome.epitome.generators import GeneratorSpec


def _nothing(generator: GeneratorSpec, bits: int) -> int:
  del generator, bits
  return 0


@dataclasses.dataclass(frozen=True)
class Storage:
  """Of one format.

  Attributes:
    is_coded: whether starts of windows may be entropy coded. If not, frequent starts
      are no shorter than rare ones, so rings are made for all to be as frequent.
    beside: bytes of what a kernel takes beside its numbers, such as the operators of a
      graph, by its generator and the bits of its numbers.
  """

  is_coded: bool = True
  beside: Callable[[GeneratorSpec, int], int] = _nothing


# The compact file.
COMPACT = Storage()
