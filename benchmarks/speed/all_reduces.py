"""What devices exchange in a training step, read from its compiled program (HLO)."""

import collections
import math
import re
from typing import Any

import jax

BYTES = {"f32": 4, "bf16": 2, "f16": 2}
LEARNER = "index_learner"

Shape = tuple[int, ...]


def arrays(program: str) -> list[tuple[str, Shape]]:
  """Type and shape of every array of floats that is summed over devices.

  Args:
    program: the text of a compiled program, `compiled.as_text()`.
  """
  arrays = []
  for line in program.splitlines():
    # Where an all-reduce is split, its second half names the same arrays again.
    if not re.search(r"= .* all-reduce(-start)?\(", line):
      continue
    result = re.split(r" all-reduce", line)[0].partition("=")[2]
    arrays += [
      (kind, tuple(int(n) for n in dims.split(",") if n))
      for kind, dims in re.findall(r"\b(b?f\d+)\[([\d,]*)\]", result)
    ]
  return arrays


def itemised(program: str, state: Any) -> dict[str, int]:
  """Bytes that are summed over devices in one training step, by what they are for.

  Args:
    program: the text of the compiled training step.
    state: what it trains, a `training.state.State`; shapes are enough.

  Returns:
    gradients: of every parameter that is no index learner's; learner: of those that
    are; batch_norm: statistics, forward, backward and running, and whatever else has
    the shape of one, as a few routing maps may; rest: routing maps and metrics.

  Raises:
    ValueError: naming a parameter whose gradient is not summed in its own shape.
  """
  left = collections.Counter(arrays(program))
  items = dict.fromkeys(("gradients", "learner", "batch_norm", "rest"), 0)
  for path, leaf in jax.tree_util.tree_leaves_with_path(state.params):
    name, array = jax.tree_util.keystr(path), ("f32", tuple(leaf.shape))
    if not left[array]:
      raise ValueError(f"no gradient of {name} {array[1]} is summed over devices")
    left[array] -= 1
    items["learner" if LEARNER in name else "gradients"] += 4 * leaf.size
  channels = {tuple(leaf.shape) for leaf in jax.tree.leaves(state.batch_stats)}
  for (kind, shape), count in left.items():
    item = "batch_norm" if shape in channels else "rest"
    items[item] += count * BYTES[kind] * math.prod(shape)
  return items
