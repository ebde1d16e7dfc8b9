"""Which parameters beside kernels are stored in float16."""

from collections.abc import Mapping

import numpy as np


def halved(rest: Mapping[str, np.ndarray]) -> frozenset[str]:
  """Names of the arrays that float16 keeps to three digits."""

  def is_kept(array: np.ndarray) -> bool:
    array = np.asarray(array)
    if array.dtype != np.float32:
      return False
    with np.errstate(over="ignore"):
      half = array.astype(np.float16).astype(np.float32)
    return bool(np.all(np.abs(half - array) <= 1e-3 * np.abs(array)))

  return frozenset(name for name, array in rest.items() if is_kept(array))
