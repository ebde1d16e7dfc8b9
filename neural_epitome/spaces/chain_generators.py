"""How the kernels of a space's choice are stored: a plan of its rates and bits."""

from collections.abc import Sequence

from neural_epitome.epitome.generators import Epitome, GeneratorSpec
from neural_epitome.planning.chosen import ChosenPlanner
from neural_epitome.spaces.arch import KERNELS, LAST_KERNELS, Arch
from neural_epitome.spaces.chain_space import ChainSpace


def of_choice(space: ChainSpace, arch: Arch, classes: int) -> ChosenPlanner:
  """The planner of a choice's network."""
  inputs = space.inputs(arch)
  rates, bits = arch.rate[-1].tolist(), arch.bits[-1].tolist()
  found = of_last(space, inputs[-1], classes, rates, bits)
  for index, channels in enumerate(inputs[:-1]):
    if width := int(arch.width[index]):
      rates, bits = arch.rate[index].tolist(), arch.bits[index].tolist()
      block = of_block(space, index, channels, width, rates, bits)
      found = ChosenPlanner(
        {**found.generators, **block.generators}, {**found.bits, **block.bits}
      )
  return found


def of_block(
  space: ChainSpace,
  index: int,
  inputs: int,
  width: int,
  rates: Sequence[int],
  bits: Sequence[int],
) -> ChosenPlanner:
  """The same of one block.

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
) -> ChosenPlanner:
  """The same of head and classifier.

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
) -> ChosenPlanner:
  generators: dict[str, GeneratorSpec] = {
    path: Epitome(shape=shape, routing="tile")
    for path, shape, rate in zip(paths, shapes, rates, strict=True)
    if rate > 1
  }
  widths = zip(paths, bits, strict=True)
  return ChosenPlanner(generators, {path: n for path, n in widths if n < 32})
