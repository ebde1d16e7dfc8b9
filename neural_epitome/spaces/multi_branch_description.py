"""A choice of a multi-branch space as people look at it."""

import numpy as np

from neural_epitome.models.operation_pools import POOLS, Operation
from neural_epitome.spaces.branches import Branches
from neural_epitome.spaces.description import Bar, Description, Place
from neural_epitome.spaces.multi_branch_space import MultiBranchSpace

HEADERS = ("cell", "channels", "stride", "operations", "million MAdds")
_MILLION = 1e6


def name(operation: Operation) -> str:
  """An operation in a few signs: its kernel, its form, its expansion."""
  size, branch = operation.kernel_size, operation.branch
  form = {
    "depthwise": f"{size}x{size}",
    "factored": f"1x{size}+{size}x1",
    "dense": "+".join([f"dense {size}x{size}"] * branch.count),
  }[branch.form]
  dilated = f" d{branch.kernel_dilation}" if branch.kernel_dilation > 1 else ""
  groups = branch.feature_group_counts
  grouped = f" g{groups[0]},{groups[1]}" if max(groups) > 1 else ""
  return f"{form}{dilated}{grouped} t{operation.expansion}"


def describe(space: MultiBranchSpace, arch: Branches) -> Description:
  """A row for each cell, and a stack of its branches by their multiply-adds."""
  pool, (madds, _) = POOLS[space.frame.pool], space.branch_costs
  rows, places = [], []
  for index, cell in enumerate(space.cells):
    own = np.flatnonzero(np.asarray(arch.gates)[index]).tolist()
    names = [f"{number}: {name(pool[number])}" for number in own]
    names = (["input"] if cell.is_residual else []) + names
    total = float(madds[index, own].sum()) / _MILLION
    rows.append(
      [
        str(index),
        f"{cell.inputs} to {cell.features}",
        str(cell.stride),
        ", ".join(names) if own else "left out",
        f"{total:.3g}",
      ]
    )
    bars = [Bar(float(madds[index, k]) / _MILLION, str(k)) for k in own]
    shades = np.linspace(1.0, 0.45, max(1, len(bars))).tolist()
    shaded = (
      Bar(bar.height, bar.caption, shade)
      for bar, shade in zip(bars, shades, strict=False)
    )
    places.append(Place(tuple(shaded)))
  return Description(
    headers=HEADERS,
    rows=rows,
    places=tuple(places),
    place="cell",
    unit="million multiply-adds",
    title="a cell averages its operations",
  )
