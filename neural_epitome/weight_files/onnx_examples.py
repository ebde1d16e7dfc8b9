"""Inputs of an ONNX graph from an .npz file, checked and cut into calls."""

import os
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from neural_epitome.errors import UserError
from neural_epitome.state_dicts.leaves import shown

LABELS = "labels"
# Examples in a call of a graph that takes any number.
_BATCH = 64


class Examples(NamedTuple):
  """What a graph is run on.

  Attributes:
    calls: its inputs by name, one entry a call.
    labels: the right class of every example, int64 (N,), or None.
    count: N, or 1 where inputs have no axis of examples in common.
  """

  calls: list[dict[str, np.ndarray]]
  labels: np.ndarray | None
  count: int


def read(path: str | os.PathLike, arguments: Mapping[str, Any]) -> Examples:
  """Reads arrays that are named as the graph's inputs, and `labels` maybe.

  The first axis is that of the examples, if all inputs that have axes are equally long
  along it; if they are not, all is one call.

  Args:
    path: of the file.
    arguments: of an `onnxruntime.InferenceSession`, by name.

  Raises:
    UserError: for a file that is none, names that are missing or unknown, shapes or
      types that the graph does not take, or values that are not finite.
  """
  arrays = _arrays(pathlib.Path(path))
  labels = None if LABELS in arguments else arrays.pop(LABELS, None)
  for name in arguments:
    if name not in arrays:
      names = ", ".join(map(shown, arrays)) or "none"
      raise UserError(f"{path} has no array {shown(name)}, an input; it has: {names}.")
  for name in arrays:
    if name not in arguments:
      names = ", ".join(map(shown, arguments))
      raise UserError(
        f"{path} has an array {shown(name)}, which is neither {LABELS!r} nor an input "
        f"of the graph: {names}."
      )
  arrays = {
    name: _typed(array, arguments[name].type, f"{path}: {shown(name)}")
    for name, array in arrays.items()
  }
  lengths = {array.shape[0] for array in arrays.values() if array.ndim}
  count, size = 1, None
  if len(lengths) == 1 and min(lengths) > 0:
    [count] = lengths
    size = _calls_of(path, count, arguments)
  for name, array in arrays.items():
    _check_shape(array, arguments[name].shape, size, f"{path}: {shown(name)}")
  if labels is not None:
    labels = _checked_labels(labels, count, path)
  if size is None:
    return Examples([arrays], labels, count)
  calls = [
    {name: a[i : i + size] if a.ndim else a for name, a in arrays.items()}
    for i in range(0, count, size)
  ]
  return Examples(calls, labels, count)


def _arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
  if not path.is_file():
    raise UserError(f"{path} does not exist.")
  try:
    with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as file:
      arrays = {name: file[name] for name in file.files}
    # What is no array in the archive comes as its bytes.
    if damaged := [name for name, one in arrays.items() if isinstance(one, bytes)]:
      raise ValueError(f"{shown(damaged[0])} is no array")
    return arrays
  except Exception as error:  # of whatever type: the file is not to be trusted
    reason = shown(f"{type(error).__name__}: {error}".partition("\n")[0], 200)
    raise UserError(
      f"{path} is no .npz of arrays named as the graph's inputs ({reason})."
    ) from None


def _typed(array: np.ndarray, kind: str, what: str) -> np.ndarray:
  """An array in the type of an input, as ONNX Runtime calls it: `tensor(float)`."""
  name = kind.removeprefix("tensor(").removesuffix(")")
  name = {"float": "float32", "double": "float64"}.get(name, name)
  try:
    dtype = np.dtype(name)
  except TypeError:
    raise UserError(f"{what} is an input of type {kind}, which is not read.") from None
  kinds = "iuf" if dtype.kind == "f" else "iu" if dtype.kind in "iu" else dtype.kind
  if array.dtype.kind not in kinds:
    raise UserError(f"{what} must be of type {dtype}, not {array.dtype}.")
  if array.dtype.kind == "f" and not np.isfinite(array).all():
    raise UserError(f"{what} has values that are not finite.")
  return array.astype(dtype, copy=False)


def _calls_of(
  path: str | os.PathLike, count: int, arguments: Mapping[str, Any]
) -> int | None:
  """How many examples a call takes; None for one call of all."""
  fixed = {
    one.shape[0]
    for one in arguments.values()
    if one.shape and isinstance(one.shape[0], int)
  }
  if not fixed:
    return _BATCH
  size = min(fixed)
  if len(fixed) > 1 or size < 1:
    return None
  if count % size:
    raise UserError(
      f"{path} has {count} examples, and the graph takes {size} in a call: give a "
      f"multiple of {size}."
    )
  return size


def _check_shape(
  array: np.ndarray, declared: list[Any] | None, size: int | None, what: str
) -> None:
  if declared is None:
    return
  shape = list(array.shape)
  if size is not None and shape and isinstance(declared[0] if declared else None, int):
    shape[0] = size
  fits = len(shape) == len(declared) and all(
    not isinstance(want, int) or want < 1 or have == want
    for have, want in zip(shape, declared, strict=False)
  )
  if not fits:
    wanted = ", ".join(str(n) if isinstance(n, int) else "?" for n in declared)
    raise UserError(
      f"{what} has shape {list(array.shape)}; the graph takes [{wanted}]."
    )


def _checked_labels(
  labels: np.ndarray, count: int, path: str | os.PathLike
) -> np.ndarray:
  if labels.shape != (count,) or labels.dtype.kind not in "iu":
    raise UserError(
      f"{path}: {LABELS} must be {count} integers, one an example, not "
      f"{labels.dtype} of shape {list(labels.shape)}."
    )
  return labels.astype(np.int64)
