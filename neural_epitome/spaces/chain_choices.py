"""The choices of a space of chains: every gene has one of a few values."""

import abc
import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.errors import UserError
from neural_epitome.spaces.arch import FIELDS, KERNELS, Arch


class ChainChoices(abc.ABC):
  """The part of a space of chains that knows its genes, and nothing of its networks.

  A subclass is a frozen dataclass that has the attribute, and says which values there
  are without it.

  Attributes:
    only: see `ChainSpace`.
  """

  only: tuple[tuple[int, ...], ...]

  @abc.abstractmethod
  def _every_choice(self) -> dict[str, list[list[int]]]:
    """The values of each gene by field, in the order of the flat field."""

  @property
  def choices(self) -> dict[str, list[list[int]]]:
    """By field, the values that each gene may have, in the order of the flat field."""
    return self._choices

  @functools.cached_property
  def _choices(self) -> dict[str, list[list[int]]]:
    every = self._every_choice()
    if not self.only:
      return every
    kept = iter(self.only)
    return {field: [list(next(kept)) for _ in genes] for field, genes in every.items()}

  @property
  def size(self) -> int:
    """How many choices there are, all genes of blocks that are left out included."""
    return math.prod(len(gene) for genes in self.choices.values() for gene in genes)

  @property
  def _count(self) -> int:
    return len(self.choices["width"])

  def _shape(self, field: str) -> tuple[int, ...]:
    count = self._count
    return (count + 1, len(KERNELS)) if field in ("rate", "bits") else (count,)

  def draw(self, key: jax.Array) -> Arch:
    """One choice, every gene uniform; a pure function of the key."""
    drawn = {}
    for number, (field, genes) in enumerate(self.choices.items()):
      most = max(map(len, genes))
      table = jnp.array([gene + gene[:1] * (most - len(gene)) for gene in genes])
      counts = jnp.array([len(gene) for gene in genes])
      of_field = jax.random.fold_in(key, number)
      chosen = jax.random.randint(of_field, counts.shape, 0, counts)
      picked = jnp.take_along_axis(table, chosen[:, None], axis=1)[:, 0]
      drawn[field] = picked.reshape(self._shape(field)).astype(jnp.int32)
    return Arch(**drawn)

  def sample(self, seed: int, *stream: int, count: int) -> list[Arch]:
    """Choices on the host; the same ones for the same numbers, on every host."""
    key = jax.random.key(seed)
    for number in stream:
      key = jax.random.fold_in(key, number)
    drawn = _draw_many(self)(jax.random.split(key, count))
    drawn = jax.tree.map(np.asarray, drawn)
    return [
      self.canonical(jax.tree.map(lambda a, i=i: a[i], drawn)) for i in range(count)
    ]

  @functools.cached_property
  def largest(self) -> Arch:
    """The choice in which every gene is the costliest: the maximal network, in full."""
    return self._extreme(dict.fromkeys(FIELDS, max) | {"rate": min})

  @functools.cached_property
  def smallest(self) -> Arch:
    """The choice in which every gene is the cheapest."""
    extreme = dict.fromkeys(FIELDS, min) | {"rate": max}
    return self.canonical(self._extreme(extreme))

  def _extreme(self, pick: Mapping[str, Any]) -> Arch:
    arrays = {}
    for field, genes in self.choices.items():
      values = [pick[field](gene) for gene in genes]
      arrays[field] = np.array(values, np.int32).reshape(self._shape(field))
      # Kept by the space: who would change it in place would change the space.
      arrays[field].flags.writeable = False
    return Arch(**arrays)

  def canonical(self, arch: Arch) -> Arch:
    """The same network, the genes of blocks that are left out at their first choice."""
    is_left_out, count = np.asarray(arch.width) == 0, self._count
    fields = {}
    for field, genes in self.choices.items():
      value = np.array(getattr(arch, field), np.int32)
      if field != "width":
        first = np.array([gene[0] for gene in genes], np.int32)
        first = first.reshape(value.shape)
        value[:count][is_left_out] = first[:count][is_left_out]
      fields[field] = value
    return Arch(**fields)

  def smaller(self, arch: Arch, block: int) -> list[Arch]:
    """The choices with one gene of a place one step smaller, its rate one step larger.

    The last width before none at all is followed by none. Of the operations, those that
    come first in `chain.OPERATIONS` are smaller.
    """
    smaller_archs = []
    if block < self._count and not arch.width[block]:
      return smaller_archs
    for field, genes in self.choices.items():
      shape = self._shape(field)
      rows = np.asarray(getattr(arch, field)).reshape(shape[0], -1)
      if block >= len(rows):
        continue
      for column, value in enumerate(rows[block]):
        gene = sorted(genes[block * rows.shape[1] + column])
        at = gene.index(value) + (1 if field == "rate" else -1)
        if 0 <= at < len(gene):
          changed = rows.copy()
          changed[block, column] = gene[at]
          changed = changed.reshape(shape)
          smaller_archs.append(
            self.canonical(dataclasses.replace(arch, **{field: changed}))
          )
    return smaller_archs

  def from_json(self, data: Any, where: str = "architecture") -> Arch:
    """Reads what `Arch.to_json` wrote.

    Raises:
      UserError: if it is no choice of this space, naming the first gene that is not.
    """
    if not isinstance(data, Mapping) or set(data) != set(FIELDS):
      raise UserError(f"{where} must have the fields {', '.join(FIELDS)}.")
    fields = {}
    for field, genes in self.choices.items():
      value = np.array(data[field])
      if value.shape != self._shape(field) or value.dtype.kind != "i":
        raise UserError(
          f"{where}.{field} must be whole numbers of shape {list(self._shape(field))}; "
          f"the space has {self._count} blocks."
        )
      for number, (chosen, gene) in enumerate(zip(value.ravel(), genes, strict=True)):
        if chosen not in gene:
          raise UserError(
            f"{where}.{field}[{number}]={chosen} is not in the space; there it is one "
            f"of {gene}."
          )
      fields[field] = value.astype(np.int32)
    return self.canonical(Arch(**fields))


@functools.cache
def _draw_many(space: ChainChoices) -> Any:
  return jax.jit(jax.vmap(space.draw))
