"""The kernel itself, stored in full: what every layer is without a plan."""

import dataclasses
from typing import ClassVar

import numpy as np

from neural_epitome.epitome.generators.base import (
  Array,
  GeneratorSpec,
  Initializer,
  Shape,
  Tensors,
)


@dataclasses.dataclass(frozen=True)
class Dense(GeneratorSpec):
  """Stores the kernel."""

  kind: ClassVar[str] = "dense"

  def tensors(self, shape: Shape) -> dict[str, Shape]:
    """One tensor, `kernel`, of the kernel's shape."""
    return {"kernel": shape}

  def init(
    self, key: Array, shape: Shape, offsets: Tensors, initializer: Initializer
  ) -> dict[str, Array]:
    """`initializer` on the kernel's shape."""
    del offsets
    return {"kernel": initializer(key, shape)}

  def generate(self, tensors: Tensors, offsets: Tensors, shape: Shape) -> Array:
    """The stored kernel."""
    del offsets, shape
    return tensors["kernel"]

  def fit(self, kernel: np.ndarray, importance: np.ndarray) -> dict[str, np.ndarray]:
    """The kernel."""
    del importance
    return {"kernel": kernel}

  def scale_outputs(self, tensors: Tensors, factors: Array, shape: Shape) -> Tensors:
    """The kernel, scaled."""
    return {
      "kernel": tensors["kernel"] * factors.reshape((1,) * (len(shape) - 1) + (-1,))
    }
