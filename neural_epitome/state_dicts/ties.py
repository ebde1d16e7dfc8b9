"""Arrays of a file that are one array under several names, as tied embeddings are.

Stored once, they stay equal whatever is lost, and cost their bytes once.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping

import numpy as np

from neural_epitome.state_dicts.leaves import Leaf


def find(
  kind: str,
  leaves: Mapping[str, Leaf],
  arrays: Mapping[str, np.ndarray],
  kernels: Collection[str],
) -> dict[str, str]:
  """The names of arrays that another name has as well, with that other name.

  Torch's files say which tensors are one. In others an array is written once for each
  name, so kernels are one whose numbers are the same. An ONNX graph reads each of its
  initialisers on its own, and has none.

  Args:
    kind: of the file, as in `WeightsFile`.
    leaves: its arrays by name.
    arrays: the same, read.
    kernels: names of those that are kernels; of several names one of these is first.
  """
  if kind == "onnx":
    return {}
  groups: dict[Hashable, list[str]] = defaultdict(list)
  for name, leaf in leaves.items():
    if kind == "torch" and leaf.place is not None and leaf.size:
      groups[leaf.place].append(name)
    elif kind != "torch" and name in kernels:
      groups[_content(leaf, arrays[name])].append(name)
  ties = {}
  for names in groups.values():
    first, *rest = sorted(names, key=lambda name: name not in kernels)
    ties |= dict.fromkeys(rest, first)
  return ties


def _content(leaf: Leaf, array: np.ndarray) -> Hashable:
  digest = hashlib.blake2b(np.ascontiguousarray(array).data).digest()
  return leaf.dtype, leaf.shape, digest
