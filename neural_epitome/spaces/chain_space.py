"""A space of chains: what may be chosen of every block.

A block's genes are its window, its width (hidden channels; 0 leaves the block out, so
that one integer is width and depth), its operation, and the epitome rate and the bits
of the kernels that make and that read its hidden channels: how small the block is, and
how small it is stored. Head and classifier have rates and bits too. `chain_choices`
draws, compares and reads choices of such a space; here is what networks they stand for.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Annotated

from neural_epitome.domains import Bits, Count, Domain, Stride, Whole
from neural_epitome.errors import UserError
from neural_epitome.models import ends, functions
from neural_epitome.models.block import Block, BlockConfig
from neural_epitome.models.blocks import InvertedResidual
from neural_epitome.models.chain import OPERATIONS, ChainBlock, ChainConfig
from neural_epitome.spaces import chain_positions
from neural_epitome.spaces.arch import KERNELS, Arch
from neural_epitome.spaces.chain_choices import ChainChoices
from neural_epitome.spaces.chain_positions import Position
from neural_epitome.spaces.space import GenePools


@dataclasses.dataclass(frozen=True)
class ChainSpace(ChainChoices, GenePools):
  """A space of chains: what each block may be, and all choices that follow from it.

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
    bits: of their stored numbers; 32, or 1 to 8.
    bypass: whether blocks may be left out.
    only: the values that each gene is restricted to, one tuple a gene: the genes of the
      first field of `choices`, then those of the next. () restricts nothing. A
      restricted space has the same blocks, and the same largest network, as the whole
      one, so a supernet's weights fit both.
    block: kind of the blocks.
  """

  stages: tuple[tuple[Count, Count, Count], ...] = ((2, 32, 1), (6, 48, 2), (6, 64, 2))
  stage_strides: tuple[Stride, ...] = (2, 2, 1)
  stem: Count = 32
  stem_stride: Stride = 2
  head: Count = 512
  squeeze: Count = 4
  image_size: Annotated[int, Domain(least=1, most=65535)] = 28
  width_step: Count = 16
  most_widths: Whole = 0
  windows: tuple[Stride, ...] = (3, 5)
  operations: tuple[str, ...] = ("plain",)
  rates: tuple[Count, ...] = (1,)
  bits: tuple[Bits, ...] = (32,)
  bypass: bool = True
  only: tuple[tuple[Whole, ...], ...] = ()
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
      if bits != 32 and bits not in range(1, 9):
        raise UserError(f"space.bits={list(self.bits)} must be 32, or 1 to 8.")
    for index, position in enumerate(self.positions):
      if position.largest < self.width_step:
        raise UserError(
          f"space.width_step={self.width_step} leaves no width for block {index} of "
          f"{position.inputs} inputs; lower it or raise the expansion."
        )
      self.maximal(index).check_shrinks("space.block")
    genes = [gene for genes in self._every_choice().values() for gene in genes]
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
    return chain_positions.positions(
      self.stages,
      self.stage_strides,
      stem=self.stem,
      size=-(-self.image_size // self.stem_stride),
      width_step=self.width_step,
      most_widths=self.most_widths,
    )

  @property
  def places(self) -> int:
    """Number of places that have genes.

    These are the blocks and, where the space has rates or bits, the head with the
    classifier.
    """
    return len(self.positions) + (len(self.rates) > 1 or len(self.bits) > 1)

  def widths(self, block: int) -> tuple[int, ...]:
    """The widths that a block may have, narrowest first."""
    position = self.positions[block]
    steps = range(position.step, position.largest + 1, position.step)
    return (*((0,) if self.bypass else ()), *steps)

  def part(self, choices: Mapping[str, Sequence[Sequence[int]]]) -> "ChainSpace":
    """The same space with each gene restricted to some of its values.

    Args:
      choices: the values that remain, in the form that `choices` returns.
    """
    only = tuple(tuple(gene) for field in self.choices for gene in choices[field])
    return dataclasses.replace(self, only=only)

  def _every_choice(self) -> dict[str, list[list[int]]]:
    count = len(self.positions)
    operations = [OPERATIONS.index(name) for name in self.operations]
    return {
      "window": [list(self.windows)] * count,
      "width": [list(self.widths(block)) for block in range(count)],
      "operation": [operations] * count,
      "rate": [list(self.rates)] * (len(KERNELS) * (count + 1)),
      "bits": [list(self.bits)] * (len(KERNELS) * (count + 1)),
    }

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
    """The block of a plain network that stands at a position and has these genes."""
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
    """The largest block of a position: every other one there is a part of it."""
    position, window = self.positions[index], max(self.windows)
    operation = max(OPERATIONS.index(name) for name in self.operations)
    return self.declare(index, position.inputs, window, position.largest, operation)

  def blocks(self, arch: Arch, classes: int) -> list[tuple[str, Block]]:
    """The declared blocks of a choice's network, in the order of the rows of its rates.

    Returns:
      The prefix of the parameters' paths and the declaration of each block, and of head
      and classifier, which are declared as one block, last. The stem is left out.
    """
    *inputs, last = self.inputs(arch)
    genes = zip(inputs, arch.window, arch.width, arch.operation, strict=True)
    blocks = [
      (f"block_{index}/", self.declare(index, *map(int, own)))
      for index, own in enumerate(genes)
    ]
    return [*blocks, ("", ends.head(last, self.head, classes))]

  def inputs(self, arch: Arch) -> list[int]:
    """Channels that each block of a choice reads: fewer where others are left out."""
    inputs, channels = [], self.stem
    for index, position in enumerate(self.positions):
      inputs.append(channels)
      is_left_out = not arch.width[index]
      channels = min(channels, position.features) if is_left_out else position.features
    return [*inputs, channels]
