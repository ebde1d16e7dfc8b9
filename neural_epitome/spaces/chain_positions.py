"""Where the blocks of a chain stand: channels and sizes of the largest network."""

import dataclasses
from collections.abc import Sequence

from neural_epitome.models import functions


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


def positions(
  stages: Sequence[tuple[int, int, int]],
  strides: Sequence[int],
  *,
  stem: int,
  size: int,
  width_step: int,
  most_widths: int,
) -> tuple[Position, ...]:
  """Every block of the largest network, from the first.

  Args:
    stages: largest expansion, channels and blocks of each stage.
    strides: of the first block of each stage.
    stem: channels that the first block reads.
    size: height and width of the first block's input.
    width_step: hidden channels are its multiples.
    most_widths: see `ChainSpace`; 0 sets no limit.
  """
  blocks, inputs = [], stem
  for stage, _, stride in functions.in_stages([n for *_, n in stages], strides):
    expansion, features, _ = stages[stage]
    expanded, step = inputs * expansion, width_step
    if most_widths:
      step *= max(1, -(-expanded // step // most_widths))
    is_residual = stride == 1 and inputs == features
    largest = expanded // step * step
    blocks.append(Position(inputs, features, largest, step, stride, size, is_residual))
    inputs, size = features, -(-size // stride)
  return tuple(blocks)
