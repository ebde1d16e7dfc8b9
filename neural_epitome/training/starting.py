"""A run that starts from trained variables instead of random ones."""

import os
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from neural_epitome.errors import UserError
from neural_epitome.training import loading
from neural_epitome.training.state import State

Tree = Any


def save(variables: Mapping[str, Tree], path: str | os.PathLike) -> None:
  """Writes variables to a file that `config.training.start` can name.

  Args:
    variables: `params`, and `batch_stats` and `routing` where there are any.
    path: a file in NumPy's .npz form: one array a variable, named by its path. It is
      written whole or not at all.
  """
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  partial = path.with_name(path.name + ".partial")
  with partial.open("wb") as file:
    np.savez(file, **jax.device_get(_flatten(variables)))
  partial.replace(path)


def read(start: str | os.PathLike) -> dict[str, Any]:
  """Arrays by path, from a file that `save` wrote or from a run directory.

  A run's are its averaged weights where it averages them.

  Raises:
    UserError: if it is neither.
  """
  path = pathlib.Path(start)
  if path.is_dir():
    return _flatten(loading.load(path).variables)
  try:
    with np.load(path) as arrays:
      return dict(arrays)
  except (OSError, ValueError, zipfile.BadZipFile) as error:
    raise UserError(
      f"config.training.start={str(start)!r} is neither a run directory nor a readable "
      f".npz file of variables ({type(error).__name__})."
    ) from None


def begin(state: State, start: str | os.PathLike) -> State:
  """Replaces the variables of a fresh state, the averaged ones too.

  Routing maps come along, but not whether they were frozen.

  Raises:
    UserError: if the variables are not those of the network, naming the first that
      is missing, superfluous or of another shape.
  """
  found = read(start)
  variables = state.variables()
  wanted = _flatten(variables)
  where = f"config.training.start={os.fspath(start)!r} does not fit the network"
  for path, leaf in wanted.items():
    if path not in found:
      raise UserError(f"{where}: it has no {path}, of shape {list(leaf.shape)}.")
    if found[path].shape != leaf.shape:
      raise UserError(
        f"{where}: its {path} has shape {list(found[path].shape)}, the network's "
        f"{list(leaf.shape)}."
      )
  for path in found:
    if path not in wanted:
      raise UserError(f"{where}: it has {path}, which the network has not.")
  placed = {
    path: leaf
    if path.endswith("/frozen")
    else jax.device_put(np.asarray(found[path], leaf.dtype), leaf.sharding)
    for path, leaf in wanted.items()
  }
  started = {name: {} for name in variables} | traverse_util.unflatten_dict(
    placed, sep="/"
  )
  ema = jax.tree.map(lambda leaf: leaf.copy(), started) if state.ema else state.ema
  return state.replace(ema=ema, **started)


def _flatten(variables: Mapping[str, Tree]) -> dict[str, Any]:
  return traverse_util.flatten_dict(dict(variables), sep="/")
