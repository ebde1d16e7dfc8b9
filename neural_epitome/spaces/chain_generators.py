"""How the kernels of a space's choice are stored: a plan of its rates and bits."""

from collections.abc import Sequence

from neural_epitome.epitome.generators import Epitome, GeneratorSpec
from neural_epitome.models.block import Block
from neural_epitome.planning.chosen import ChosenPlanner
from neural_epitome.spaces.arch import KERNELS, Arch
from neural_epitome.spaces.chain_space import ChainSpace


def of_choice(space: ChainSpace, arch: Arch, classes: int) -> ChosenPlanner:
  """The planner of a choice's network."""
  generators: dict[str, GeneratorSpec] = {}
  widths: dict[str, int] = {}
  rows = zip(space.blocks(arch, classes), arch.rate, arch.bits, strict=True)
  for (prefix, block), rates, bits in rows:
    own = of_block(prefix, block, rates.tolist(), bits.tolist())
    generators |= own.generators
    widths |= own.bits
  return ChosenPlanner(generators, widths)


def of_block(
  prefix: str, block: Block, rates: Sequence[int], bits: Sequence[int]
) -> ChosenPlanner:
  """The same of one block.

  Args:
    prefix: of the kernels' paths.
    block: its declaration.
    rates: of `KERNELS`.
    bits: of `KERNELS`.
  """
  generators: dict[str, GeneratorSpec] = {}
  widths: dict[str, int] = {}
  for path, spec, axis in block.rated():
    path, number = f"{prefix}{path}/kernel", KERNELS[axis]
    if rates[number] > 1:
      shape = list(spec.kernel_shape)
      shape[axis] //= rates[number]
      generators[path] = Epitome(shape=tuple(shape), routing="tile")
    if bits[number] < 32:
      widths[path] = bits[number]
  return ChosenPlanner(generators, widths)
