"""What the inputs of kernels count, as `compress` is given it: checked."""

from collections.abc import Mapping

import numpy as np

from neural_epitome.cost.inventory import Inventory
from neural_epitome.errors import UserError


def by_kernel(
  given: Mapping[str, np.ndarray], inventory: Inventory
) -> dict[str, np.ndarray]:
  """By the names of the tree, which may have `params/` before those of the layers."""
  importances = {}
  for use in inventory.kernels:
    name = use.path if use.path in given else use.path.removeprefix("params/")
    if name not in given:
      continue
    value, shape = np.asarray(given[name]), use.shape[-2:-1]
    if value.shape != shape or not np.all(np.isfinite(value) & (value >= 0)):
      raise UserError(
        f"importance[{name!r}] must be {shape[0]} finite numbers of at least 0, one an "
        f"input of the kernel, not of shape {list(value.shape)}; where the kernel has "
        "several axes of inputs or outputs, outputs= says which."
      )
    importances[use.path] = value
  if given and not importances:
    raise UserError(
      f"importance names {next(iter(given))!r} and others, and none of the kernels "
      f"{', '.join(use.path for use in inventory.kernels[:3])}, ..."
    )
  return importances
