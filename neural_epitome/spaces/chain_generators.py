"""How the kernels of a space's choice are stored: its rates and bits as generators."""

from collections.abc import Sequence

from neural_epitome.epitome.generators import Dense, Epitome, GeneratorSpec, Quantised
from neural_epitome.models.block import Block
from neural_epitome.spaces.arch import KERNELS, Arch
from neural_epitome.spaces.chain_space import ChainSpace


def of_choice(space: ChainSpace, arch: Arch, classes: int) -> dict[str, GeneratorSpec]:
  """Of all kernels of a choice, by path; those that are not named are dense."""
  found: dict[str, GeneratorSpec] = {}
  rows = zip(space.blocks(arch, classes), arch.rate, arch.bits, strict=True)
  for (prefix, block), rates, bits in rows:
    found |= of_block(prefix, block, rates.tolist(), bits.tolist())
  return found


def of_block(
  prefix: str, block: Block, rates: Sequence[int], bits: Sequence[int]
) -> dict[str, GeneratorSpec]:
  """Of one block, by path.

  Args:
    prefix: of the paths.
    block: its declaration.
    rates: of `KERNELS`.
    bits: of `KERNELS`.
  """
  found: dict[str, GeneratorSpec] = {}
  for path, spec, axis in block.rated():
    number = KERNELS.index("making" if axis == -1 else "reading")
    shape = list(spec.kernel_shape)
    shape[axis] //= rates[number]
    generator = _stored(tuple(shape), rates[number], bits[number])
    if generator != Dense():
      found[f"{prefix}{path}/kernel"] = generator
  return found


def _stored(shape: tuple[int, ...], rate: int, bits: int) -> GeneratorSpec:
  generator: GeneratorSpec = Dense()
  if rate > 1:
    generator = Epitome(shape=shape, routing="tile")
  return Quantised(bits, generator) if bits < 32 else generator
