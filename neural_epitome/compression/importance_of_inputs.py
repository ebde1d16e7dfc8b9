"""What the inputs of kernels count, as `compress` is given it: checked."""

import math
from collections.abc import Mapping

import numpy as np

from neural_epitome.cost.inventory import Inventory
from neural_epitome.epitome.error_feedback import Inputs
from neural_epitome.errors import UserError

# Of the largest second moment: what rounding makes asymmetric.
_ASYMMETRY = 1e-3


def moments_by_kernel(
  given: Mapping[str, np.ndarray], inventory: Inventory
) -> dict[str, Inputs]:
  """The same of second moments, (K, K) of the K = taps * inputs that an output reads.

  Raises:
    UserError: for shapes or values that are none, or names of no kernel.
  """
  inputs = {}
  for use in inventory.kernels:
    name = use.path if use.path in given else use.path.removeprefix("params/")
    if name not in given:
      continue
    value, size = np.asarray(given[name]), math.prod(use.shape[:-1])
    if value.shape != (size, size):
      raise UserError(
        f"moments[{name!r}] must be of shape [{size}, {size}], taps times inputs of "
        f"the kernel {list(use.shape)}, not {list(value.shape)}; where the kernel has "
        "several axes of inputs or outputs, outputs= says which."
      )
    if not np.all(np.isfinite(value)):
      raise UserError(f"moments[{name!r}] has values that are not finite.")
    value, largest = value.astype(np.float32), np.max(np.abs(value))
    is_moments = np.min(np.diag(value)) >= 0 and np.allclose(
      value, value.T, rtol=0, atol=_ASYMMETRY * largest
    )
    if not is_moments:
      raise UserError(
        f"moments[{name!r}] must be symmetric, with a diagonal of at least 0: "
        "ne.input_moments measures them."
      )
    inputs[use.path] = Inputs((value + value.T) / 2)
  if given and not inputs:
    raise UserError(
      f"moments names {next(iter(given))!r} and others, and none of the kernels "
      f"{', '.join(use.path for use in inventory.kernels[:3])}, ..."
    )
  return inputs


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
