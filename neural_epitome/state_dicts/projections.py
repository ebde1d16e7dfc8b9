"""Query, key and value of an attention, which some libraries store apart."""

from collections.abc import Mapping

import numpy as np

JOINED = "qkv"
_APART = ("query", "key", "value")


def joined(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """A torch state dict in which each three projections are one, named `JOINED`.

  Their outputs, the first axis of weights and biases, follow each other in the order
  query, key, value, as in timm's networks. What has not all three, of shapes that can
  be joined, stays as it is.

  Args:
    state: arrays by name: `a.query.weight` and on.
  """
  whole = dict(state)
  for name in state:
    before, _, last = name.rpartition(f".{_APART[0]}.")
    if not before or "." in last:
      continue
    names = [f"{before}.{part}.{last}" for part in _APART]
    parts = [state[one] for one in names if one in state]
    inner = {part.shape[1:] for part in parts if part.ndim}
    if len(parts) == len(names) and len(inner) == 1:
      whole[f"{before}.{JOINED}.{last}"] = np.concatenate(parts)
      for one in names:
        del whole[one]
  return whole
