"""Weights that no network has, or that cannot be compressed, refused by name."""

import re
from collections.abc import Iterable, Mapping

import numpy as np

from neural_epitome.errors import UserError
from neural_epitome.state_dicts.leaves import Leaf, shown

_VARIANCE = re.compile(r"(.*[./])?(running_|moving_)?var(iance)?(:0)?")
_KERNEL = re.compile(r"(weight|kernel)[^./]*")
_SOME = 3


def check_types(leaves: Mapping[str, Leaf]) -> None:
  """Raises UserError, wanting the file's name before it, for what is quantised."""
  quantised = [name for name, leaf in leaves.items() if _is_quantised(name, leaf)]
  if quantised:
    types = ", ".join(sorted({leaves[name].dtype for name in quantised}))
    raise UserError(
      f"has weights that are quantised, or no real numbers: {_some(quantised)} "
      f"({shown(types)}). Compress the file that it was made from."
    )


def check_values(arrays: Mapping[str, np.ndarray]) -> None:
  """Raises UserError, wanting the file's name before it.

  For numbers that are not finite, and for variances below zero.
  """
  floating = {name: one for name, one in arrays.items() if one.dtype.kind == "f"}
  infinite = [name for name, one in floating.items() if not np.isfinite(one).all()]
  if infinite:
    raise UserError(f"{_some(infinite)}: not all numbers are finite.")
  negative = [
    name
    for name, one in floating.items()
    if _VARIANCE.fullmatch(name) and (one < 0).any()
  ]
  if negative:
    raise UserError(f"{_some(negative)}: a variance cannot be below zero.")


def _is_quantised(name: str, leaf: Leaf) -> bool:
  if not leaf.is_known:
    return True
  is_integer = not leaf.is_floating and leaf.dtype != "bool"
  return bool(is_integer and len(leaf.shape) > 1 and _KERNEL.search(name))


def _some(names: Iterable[str]) -> str:
  listed = [shown(name) for name in names]
  return ", ".join(listed[:_SOME]) + (", ..." if len(listed) > _SOME else "")
