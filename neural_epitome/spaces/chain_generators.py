"""How the kernels of a space's choice are stored: its rates and bits as generators."""

from collections.abc import Sequence

from neural_epitome.epitome.generators import Dense, Epitome, GeneratorSpec, Quantised
from neural_epitome.spaces.arch import KERNELS, LAST_KERNELS, Arch
from neural_epitome.spaces.chain_space import ChainSpace


def of_choice(space: ChainSpace, arch: Arch, classes: int) -> dict[str, GeneratorSpec]:
  """Of all kernels of a choice, by path; those that are not named are dense."""
  inputs = space.inputs(arch)
  rates, bits = arch.rate[-1].tolist(), arch.bits[-1].tolist()
  found = of_last(space, inputs[-1], classes, rates, bits)
  for index, channels in enumerate(inputs[:-1]):
    if width := int(arch.width[index]):
      rates, bits = arch.rate[index].tolist(), arch.bits[index].tolist()
      found |= of_block(space, index, channels, width, rates, bits)
  return found


def of_block(
  space: ChainSpace,
  index: int,
  inputs: int,
  width: int,
  rates: Sequence[int],
  bits: Sequence[int],
) -> dict[str, GeneratorSpec]:
  """Of one block, by path.

  Args:
    space: whose block it is.
    index: of the block.
    inputs: channels that it reads.
    width: hidden channels, above 0.
    rates: of `KERNELS`.
    bits: of `KERNELS`.
  """
  features = space.positions[index].features
  paths = [f"block_{index}/{name}/kernel" for name in KERNELS]
  shapes = (1, 1, inputs, width // rates[0]), (1, 1, width // rates[1], features)
  return _stored(paths, shapes, rates, bits)


def of_last(
  space: ChainSpace,
  inputs: int,
  classes: int,
  rates: Sequence[int],
  bits: Sequence[int],
) -> dict[str, GeneratorSpec]:
  """Of head and classifier, by path.

  Args:
    space: whose head it is.
    inputs: channels that the head reads.
    classes: number of classes.
    rates: of `LAST_KERNELS`.
    bits: of `LAST_KERNELS`.
  """
  paths = [f"{name}/kernel" for name in LAST_KERNELS]
  shapes = (1, 1, inputs, space.head // rates[0]), (space.head // rates[1], classes)
  return _stored(paths, shapes, rates, bits)


def _stored(
  paths: Sequence[str],
  shapes: Sequence[tuple[int, ...]],
  rates: Sequence[int],
  bits: Sequence[int],
) -> dict[str, GeneratorSpec]:
  found: dict[str, GeneratorSpec] = {}
  for path, shape, rate, width in zip(paths, shapes, rates, bits, strict=True):
    generator: GeneratorSpec = Dense()
    if rate > 1:
      generator = Epitome(shape=shape, routing="tile")
    if width < 32:
      generator = Quantised(width, generator)
    if generator != Dense():
      found[path] = generator
  return found
