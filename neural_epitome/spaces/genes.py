"""Choices as flat vectors of options, whatever a space encodes them by.

A distribution over architectures is over such vectors: of each gene, in the order of
`Space.choices`, the index of its value.
"""

import dataclasses
import functools
from typing import Any

import numpy as np

from neural_epitome.spaces.space import Space


@dataclasses.dataclass(frozen=True, eq=False)
class Genes:
  """The genes of a space, one after the other.

  Attributes:
    space: the choices.
  """

  space: Space

  @functools.cached_property
  def _fields(self) -> list[tuple[str, tuple[int, ...], list[list[int]]]]:
    """Name, shape and genes of each field of an encoding."""
    largest = self.space.largest
    return [
      (field, np.shape(getattr(largest, field)), genes)
      for field, genes in self.space.choices.items()
    ]

  @property
  def counts(self) -> tuple[int, ...]:
    """The number of options of each gene."""
    return tuple(len(gene) for _, _, genes in self._fields for gene in genes)

  @property
  def places(self) -> tuple[int, ...]:
    """Of each gene, the index of its place: that along the first axis of its field."""
    return tuple(
      int(place)
      for _, shape, _ in self._fields
      for place in np.indices(shape)[0].ravel()
    )

  def arch(self, options: Any) -> Any:
    """The choice of these options, in its canonical form.

    Args:
      options: whole numbers (genes,).
    """
    left, arrays = iter(np.asarray(options).tolist()), {}
    for field, shape, genes in self._fields:
      values = [gene[next(left)] for gene in genes]
      arrays[field] = np.array(values, np.int32).reshape(shape)
    return self.space.canonical(dataclasses.replace(self.space.largest, **arrays))

  def options(self, arch: Any) -> np.ndarray:
    """The options of a choice, int32 (genes,).

    Raises:
      ValueError: if a value is none of its gene's.
    """
    indices = [
      gene.index(value)
      for field, _, genes in self._fields
      for gene, value in zip(
        genes, np.ravel(getattr(arch, field)).tolist(), strict=True
      )
    ]
    return np.array(indices, np.int32)
