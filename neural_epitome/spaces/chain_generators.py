"""How the kernels of a space's choice are stored: a plan of its rates and bits."""

from collections.abc import Sequence

from neural_epitome.epitome.generators import Epitome, GeneratorSpec
from neural_epitome.models.block import Block
from neural_epitome.planning.chosen import ChosenPlanner
from neural_epitome.spaces.arch import KERNELS, Arch
from neural_epitome.spaces.chain_space import ChainSpace


def of_choice(space: ChainSpace, arch: Arch, classes: int) -> ChosenPlanner:
  """The planner that generates a choice's kernels at the choice's rates and bits.

  Args:
    space: of the choice.
    arch: the choice.
    classes: number of classes.
  """
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
  """The planner of one block's kernels, at given rates and bits.

  Args:
    prefix: of the kernels' paths.
    block: its declaration.
    rates: epitome rate of each kernel in `KERNELS`.
    bits: of a stored number, for each kernel in `KERNELS`.
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
