"""What the branches of a multi-branch network cost, each by itself.

A network costs the sum of its branches and of its ends, so that the price of a cell of
gates is linear in them; and differentiable (`policies.two_paths.expected_cost`).
"""

import functools

import numpy as np

from neural_epitome.cost.inventory import Inventory
from neural_epitome.models.block import Block
from neural_epitome.models.multi_branch import MultiBranchConfig
from neural_epitome.models.operation_pools import POOLS
from neural_epitome.spaces.cost_model import block_inventory


def of_branches(
  frame: MultiBranchConfig, image_size: int, usable: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Multiply-adds and parameters of every operation in every cell.

  Args:
    frame: the network's pool, widths and strides.
    image_size: height and width of the images.
    usable: bool (cells, operations); others cost 0.

  Returns:
    float64 (cells, operations) each.
  """
  costs = np.zeros((2, *usable.shape))
  sizes = side_lengths(frame, image_size)
  for index, cell in enumerate(frame.places()):
    for number in np.flatnonzero(usable[index]):
      operation = POOLS[frame.pool][number]
      block = operation.declare(cell.inputs, cell.features, cell.stride)
      costs[:, index, number] = _costs(block, sizes[index])
  return costs[0], costs[1]


def inventory(
  frame: MultiBranchConfig,
  image_size: int,
  usable: np.ndarray,
  channels: int,
  classes: int,
) -> Inventory:
  """All kernels of the supernet, as its parameters are named; nothing is traced."""
  sizes, (stem, head) = side_lengths(frame, image_size), frame.ends(channels, classes)
  parts = [block_inventory("", stem, (image_size,) * 2)]
  for index, cell in enumerate(frame.places()):
    for number in np.flatnonzero(usable[index]).tolist():
      operation = POOLS[frame.pool][number]
      block = operation.declare(cell.inputs, cell.features, cell.stride)
      name = f"cell_{index}_branch_{number}/"
      parts.append(block_inventory(name, block, (sizes[index],) * 2))
  parts.append(block_inventory("", head, (sizes[-1],) * 2))
  rest = {path: shape for part in parts for path, shape in part.rest.items()}
  return Inventory(tuple(use for part in parts for use in part.kernels), rest)


@functools.cache
def of_ends(
  frame: MultiBranchConfig, image_size: int, channels: int, classes: int
) -> tuple[float, float]:
  """Multiply-adds and parameters of stem, head and classifier together."""
  stem, head = frame.ends(channels, classes)
  first, last = (
    _costs(stem, image_size),
    _costs(head, side_lengths(frame, image_size)[-1]),
  )
  return first[0] + last[0], first[1] + last[1]


def side_lengths(frame: MultiBranchConfig, image_size: int) -> list[int]:
  """Height and width of what each cell reads, and of what the head does."""
  sizes = [-(-image_size // 2)]
  for cell in frame.places():
    sizes.append(-(-sizes[-1] // cell.stride))
  return sizes


def _costs(block: Block, size: int) -> tuple[float, float]:
  inventory = block_inventory("", block, (size, size))
  return float(sum(use.madds for use in inventory.kernels)), float(inventory.size)
