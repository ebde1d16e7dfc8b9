"""One way to store a kernel, as it is compared and as it is carried out."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from neural_epitome.epitome.generators import GeneratorSpec


@dataclasses.dataclass(frozen=True)
class Choice:
  """One way to store a kernel.

  Attributes:
    generator: of the kernel.
    bits: of the numbers of its largest tensor.
    error: squared, relative to the kernel, see `kernel_error`.
    nbytes: in a file; of a sample, what all of it is expected to take.
    penalty: of a bit, with which starts were chosen; 0 where there are none.
    ring: of a generator that has one, to go on from.
    lengths: bits of its starts, likewise.
    directions: of a low rank, see `low_rank_choices`.
  """

  generator: GeneratorSpec
  bits: int
  error: float
  nbytes: float
  penalty: float = 0.0
  ring: np.ndarray | None = None
  lengths: np.ndarray | None = None
  directions: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Stored:
  """A kernel as it is stored.

  Attributes:
    choice: exact in error and bytes.
    tensors: float32, by role; what a ring holds is rounded, all else is when it is
      written.
    offsets: by axis.
  """

  choice: Choice
  tensors: Mapping[str, np.ndarray]
  offsets: Mapping[str, np.ndarray]
