"""How far what was compressed is from the file that it was made of."""

import dataclasses
import os
from typing import Any, NamedTuple

import numpy as np

from neural_epitome.compression import kernel_error
from neural_epitome.compression.compressed import Compressed
from neural_epitome.compression.loading import explained, load_compressed
from neural_epitome.errors import UserError
from neural_epitome.state_dicts.leaves import shown
from neural_epitome.state_dicts.weights_file import WeightsFile
from neural_epitome.weight_files import description, expanding


class Beside(NamedTuple):
  """A compact file beside the weights that it was made of.

  Attributes:
    small: what is stored, with the errors of its kernels.
    weights: in full, by the names, and in the shapes, of those weights.
  """

  small: Compressed
  weights: dict[str, np.ndarray]


def beside(path: str | os.PathLike, file: WeightsFile) -> Beside:
  """Reads a compact file and compares its kernels with what they were.

  Args:
    path: of a compact file from `compress_file`.
    file: the weights that it was made of, in a file of any kind.

  Raises:
    UserError: if the compact file cannot be read or was made of other weights.
  """
  with explained(path):
    stored, small = expanding.read(path), load_compressed(path)
    described = stored.network.metadata["network"]
    layouts, tied = description.layouts(described), description.ties(described)
    weights, errors = {}, {}
    for name, before in file.arrays.items():
      _check(path, name, name in stored.arrays, "has no such array")
      now: Any = stored.arrays[name]
      if name in file.layouts and name not in tied:
        _check(path, name, name in layouts, "has no such kernel")
        now, whole = layouts[name][0].to_ours(now), file.layouts[name].to_ours(before)
        _check(path, name, now.shape == whole.shape, f"has it of shape {now.shape}")
        if name in small.plan.kernels:
          errors[name] = kernel_error.error(whole, now) ** 0.5
        now = file.layouts[name].from_ours(now, before.shape)
      _check(path, name, now.shape == before.shape, f"has it of shape {now.shape}")
      weights[name] = now
    for name in small.plan.kernels:
      _check(path, name, name in errors, "has a kernel more")
    return Beside(dataclasses.replace(small, errors=errors), weights)


def _check(path: str | os.PathLike, name: str, holds: bool, what: str) -> None:
  if not holds:
    raise UserError(
      f"{path} was made of other weights: of {shown(name)} it {what}. Give the file "
      "that was compressed."
    )
