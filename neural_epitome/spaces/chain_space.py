"""A space of chains: what may be chosen of every block.

A block's genes are its window, its width (hidden channels; 0 leaves the block out, so
that one integer is width and depth), its operation, and the epitome rate and the bits
of the kernels that make and that read its hidden channels: how small the block is, and
how small it is stored. Head and classifier have rates and bits too.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.errors import UserError
from neural_epitome.models import ends, functions
from neural_epitome.models.block import Block, BlockConfig
from neural_epitome.models.blocks import InvertedResidual
from neural_epitome.models.chain import OPERATIONS, ChainBlock, ChainConfig
from neural_epitome.spaces.arch import FIELDS, KERNELS, Arch


@dataclasses.dataclass(frozen=True)
class Position:
  """Where a block stands in the largest network of a space.

  Attributes:
    inputs: channels that it reads.
    features: channels that it makes.
    largest: hidden channels at most.
    step: of the hidden channels.
    stride: of the block.
    size: height and width of its input.
    is_residual: whether its input is added to its output.
  """

  inputs: int
  features: int
  largest: int
  step: int
  stride: int
  size: int
  is_residual: bool


@dataclasses.dataclass(frozen=True)
class ChainSpace:
  """All choices.

  Attributes:
    stages: largest expansion, channels and blocks of each stage.
    stage_strides: stride of the first block of each stage.
    stem: channels of the first convolution.
    stem_stride: its stride.
    head: channels of the 1x1 convolution before the classifier.
    squeeze: see `ChainConfig`.
    image_size: height and width of the images.
    width_step: hidden channels are its multiples; every rate divides it.
    most_widths: how many widths above 0 a block may have at most. A block that would
      have more takes them a multiple of `width_step` apart, the smallest multiple that
      keeps the limit. 0 sets no limit.
    windows: heights and widths of the spatial kernels.
    operations: names in `chain.OPERATIONS`.
    rates: epitome rates of the kernels that make and that read hidden channels, and of
      head and classifier; powers of two.
    bits: of their stored numbers; 32, or 2 to 8.
    bypass: whether blocks may be left out.
    only: the values that each gene is restricted to, one tuple a gene: the genes of the
      first field of `choices`, then those of the next. () restricts nothing. A
      restricted space has the same blocks, and the same largest network, as the whole
      one, so a supernet's weights fit both.
    block: kind of the blocks.
  """

  stages: tuple[tuple[int, int, int], ...] = ((2, 32, 1), (6, 48, 2), (6, 64, 2))
  stage_strides: tuple[int, ...] = (2, 2, 1)
  stem: int = 32
  stem_stride: int = 2
  head: int = 512
  squeeze: int = 4
  image_size: int = 28
  width_step: int = 16
  most_widths: int = 0
  windows: tuple[int, ...] = (3, 5)
  operations: tuple[str, ...] = ("plain",)
  rates: tuple[int, ...] = (1,)
  bits: tuple[int, ...] = (32,)
  bypass: bool = True
  only: tuple[tuple[int, ...], ...] = ()
  block: BlockConfig = InvertedResidual()

  def check(self) -> None:
    """Raises UserError, naming the field, if there is no such space."""
    functions.check_strides(self.stage_strides, len(self.stages), "space.stage_strides")
    for field in ("windows", "operations", "rates", "bits"):
      if not getattr(self, field):
        raise UserError(f"space.{field} must name at least one choice.")
    for window in self.windows:
      if window < 1 or window % 2 != 1:
        raise UserError(f"space.windows={list(self.windows)} must be odd.")
    for operation in self.operations:
      if operation not in OPERATIONS:
        raise UserError(
          f"space.operations={list(self.operations)} must be among {list(OPERATIONS)}."
        )
    for rate in self.rates:
      if rate < 1 or rate & (rate - 1) or self.width_step % rate or self.head % rate:
        raise UserError(
          f"space.rates={list(self.rates)} must be powers of two that divide "
          f"space.width_step={self.width_step} and space.head={self.head}."
        )
    for bits in self.bits:
      if bits != 32 and bits not in range(2, 9):
        raise UserError(f"space.bits={list(self.bits)} must be 32, or 2 to 8.")
    for index, position in enumerate(self.positions):
      if position.largest < self.width_step:
        raise UserError(
          f"space.width_step={self.width_step} leaves no width for block {index} of "
          f"{position.inputs} inputs; lower it or raise the expansion."
        )
      self.maximal(index).check_shrinks("space.block")
    genes = [gene for genes in self._all_choices.values() for gene in genes]
    if self.only and len(self.only) != len(genes):
      raise UserError(
        f"space.only names {len(self.only)} genes; the space has {len(genes)}."
      )
    for number, (kept, gene) in enumerate(zip(self.only, genes, strict=False)):
      if not kept or not set(kept) <= set(gene):
        raise UserError(
          f"space.only[{number}]={list(kept)} must be one or more of {gene}."
        )

  @functools.cached_property
  def positions(self) -> tuple[Position, ...]:
    """Every block of the largest network, from the first."""
    found, inputs = [], self.stem
    size = -(-self.image_size // self.stem_stride)
    counts = [count for *_, count in self.stages]
    for stage, _, stride in functions.in_stages(counts, self.stage_strides):
      expansion, features, _ = self.stages[stage]
      wanted, step = inputs * expansion, self.width_step
      if self.most_widths:
        step *= max(1, -(-wanted // step // self.most_widths))
      residual = stride == 1 and inputs == features
      largest = wanted // step * step
      found.append(Position(inputs, features, largest, step, stride, size, residual))
      inputs, size = features, -(-size // stride)
    return tuple(found)

  @property
  def places(self) -> int:
    """How many have genes: the blocks; where it has rates or bits, the last kernels."""
    return len(self.positions) + (len(self.rates) > 1 or len(self.bits) > 1)

  def widths(self, block: int) -> tuple[int, ...]:
    """The widths that a block may have, narrowest first."""
    position = self.positions[block]
    steps = range(position.step, position.largest + 1, position.step)
    return (*((0,) if self.bypass else ()), *steps)

  @functools.cached_property
  def choices(self) -> dict[str, list[list[int]]]:
    """What each gene of a field may be, genes in the order of the flat field."""
    if not self.only:
      return self._all_choices
    kept = iter(self.only)
    return {
      field: [list(next(kept)) for _ in genes]
      for field, genes in self._all_choices.items()
    }

  def part(self, choices: Mapping[str, Sequence[Sequence[int]]]) -> "ChainSpace":
    """The space of some choices of each gene, given as `choices` gives them."""
    only = tuple(tuple(gene) for field in self.choices for gene in choices[field])
    return dataclasses.replace(self, only=only)

  @functools.cached_property
  def _all_choices(self) -> dict[str, list[list[int]]]:
    count = len(self.positions)
    operations = [OPERATIONS.index(name) for name in self.operations]
    return {
      "window": [list(self.windows)] * count,
      "width": [list(self.widths(block)) for block in range(count)],
      "operation": [operations] * count,
      "rate": [list(self.rates)] * (len(KERNELS) * (count + 1)),
      "bits": [list(self.bits)] * (len(KERNELS) * (count + 1)),
    }

  @property
  def size(self) -> int:
    """How many choices there are, all genes of blocks that are left out included."""
    return math.prod(len(gene) for genes in self.choices.values() for gene in genes)

  def _shape(self, field: str) -> tuple[int, ...]:
    count = len(self.positions)
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
    """Every gene the costliest: the maximal network, stored in full."""
    return self._extreme(dict.fromkeys(FIELDS, max) | {"rate": min})

  @functools.cached_property
  def smallest(self) -> Arch:
    """Every gene the cheapest."""
    extreme = dict.fromkeys(FIELDS, min) | {"rate": max}
    return self.canonical(self._extreme(extreme))

  def _extreme(self, pick: Mapping[str, Any]) -> Arch:
    found = {}
    for field, genes in self.choices.items():
      values = [pick[field](gene) for gene in genes]
      found[field] = np.array(values, np.int32).reshape(self._shape(field))
      # Kept by the space: who would change it in place would change the space.
      found[field].flags.writeable = False
    return Arch(**found)

  def canonical(self, arch: Arch) -> Arch:
    """The same network, the genes of blocks that are left out at their first choice."""
    is_left_out, count = np.asarray(arch.width) == 0, len(self.positions)
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
    if block < len(self.positions) and not arch.width[block]:
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

  def network(self, arch: Arch) -> ChainConfig:
    """The plain architecture that a choice stands for."""
    genes = zip(arch.window, arch.width, arch.operation, strict=True)
    chain = [self.chain_block(index, *map(int, own)) for index, own in enumerate(genes)]
    return ChainConfig(
      blocks=tuple(chain),
      stem=self.stem,
      stem_stride=self.stem_stride,
      head=self.head,
      squeeze=self.squeeze,
      block=self.block,
    )

  def chain_block(
    self, index: int, window: int, width: int, operation: int
  ) -> ChainBlock:
    """The block of a plain network that stands at a position, of its genes."""
    position = self.positions[index]
    return ChainBlock(
      features=position.features,
      hidden=width,
      window=window,
      stride=position.stride,
      operation=OPERATIONS[operation],
      shortcut=position.is_residual,
    )

  def declare(self, index: int, inputs: int, *genes: int) -> Block:
    """The declaration of `chain_block(index, *genes)` that reads `inputs` channels."""
    return self.chain_block(index, *genes).declare(self.block, inputs, self.squeeze)

  def maximal(self, index: int) -> Block:
    """The block of a position that has every other one there as a part."""
    position, window = self.positions[index], max(self.windows)
    operation = max(OPERATIONS.index(name) for name in self.operations)
    return self.declare(index, position.inputs, window, position.largest, operation)

  def blocks(self, arch: Arch, classes: int) -> list[tuple[str, Block]]:
    """The network of a choice but for the stem, in the order of the rows of its rates.

    Returns:
      Of each block, and of head and classifier last, the prefix of its parameters'
      paths and its declaration.
    """
    *inputs, last = self.inputs(arch)
    genes = zip(inputs, arch.window, arch.width, arch.operation, strict=True)
    found = [
      (f"block_{index}/", self.declare(index, *map(int, own)))
      for index, own in enumerate(genes)
    ]
    return [*found, ("", ends.head(last, self.head, classes))]

  def inputs(self, arch: Arch) -> list[int]:
    """Channels that each block of a choice reads: fewer where others are left out."""
    found, channels = [], self.stem
    for index, position in enumerate(self.positions):
      found.append(channels)
      is_left_out = not arch.width[index]
      channels = min(channels, position.features) if is_left_out else position.features
    return [*found, channels]

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
          f"the space has {len(self.positions)} blocks."
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
def _draw_many(space: ChainSpace) -> Any:
  return jax.jit(jax.vmap(space.draw))
