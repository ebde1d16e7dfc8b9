"""A run that starts from trained variables instead of random ones.

From a network of the same architecture and another plan, a dense one above all, its
kernels are fitted: what the new plan stores is then the nearest to what was trained.
"""

import os
import pathlib
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from neural_epitome.config import Config
from neural_epitome.epitome import fitting, routing
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.plan import Plan
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


def read(start: str | os.PathLike) -> tuple[dict[str, Any], Plan | None]:
  """Arrays by path, from a file that `save` wrote or from a trained network.

  A run's are its averaged weights where it averages them. The plan is that of a run or
  a compact file; a file of `save` says nothing of its own.

  Raises:
    UserError: if it is neither.
  """
  path = pathlib.Path(start)
  if path.is_dir() or path.suffix == ".safetensors":
    trained = loading.load(path)
    return _flatten(trained.variables), trained.plan
  try:
    with np.load(path) as arrays:
      return dict(arrays), None
  except (OSError, ValueError, zipfile.BadZipFile) as error:
    raise UserError(
      f"config.training.start={str(start)!r} is no run directory, compact file or "
      f"readable .npz file of variables ({type(error).__name__})."
    ) from None


def begin(
  state: State,
  start: str | os.PathLike,
  plan: Plan,
  config: Config,
  say: Callable[[str], None],
) -> State:
  """Replaces the variables of a fresh state, the averaged ones too.

  Routing maps come along, but not whether they were frozen.

  Args:
    state: of the run.
    start: see `config.training.start`.
    plan: of the run.
    config: of the run.
    say: is told how near the kernels are that were fitted.

  Raises:
    UserError: if the variables are not those of the network, naming the first that
      is missing, superfluous or of another shape.
  """
  found, source = read(start)
  variables = state.variables()
  wanted = _flatten(variables)
  if source and source != plan and source.architecture == plan.architecture:
    found = _fitted(found, source, plan, wanted, config, say)
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


def _fitted(
  found: Mapping[str, Any],
  source: Plan,
  plan: Plan,
  wanted: Mapping[str, Any],
  config: Config,
  say: Callable[[str], None],
) -> dict[str, Any]:
  """The arrays of a network of another plan, as this plan stores them."""
  found, fresh = (
    {name: np.asarray(leaf) for name, leaf in jax.device_get(dict(arrays)).items()}
    for arrays in (found, wanted)
  )
  given = {name: found[f"params/{name}"] for name in source.tensors}
  kernels = {
    path: fitting.generate(source, given, _maps(source, found), path)
    for path in source.kernels
  }
  offsets = {
    path: {axis: np.round(value) for axis, value in axes.items()}
    for path, axes in _maps(plan, fresh).items()
  }
  if config.training.fit == "full":
    tensors, offsets = fitting.search(plan, kernels, offsets)
  else:
    tensors = fitting.fit(plan, kernels, offsets)
  errors = [
    fitting.relative_error(
      kernels[path], fitting.generate(plan, tensors, offsets, path)
    )
    for path in plan.compressed
  ]
  say(f"Fitted {len(errors)} kernels, relative error {np.mean(errors):.3f} on average.")
  # Everything that is no kernel is taken over, what offsets are learned by is fresh.
  arrays = {name: found.get(name, leaf) for name, leaf in fresh.items()}
  arrays |= {f"params/{name}": value for name, value in tensors.items()}
  span = config.indices.span
  for path, axes in offsets.items():
    for axis, value in axes.items():
      arrays["routing/" + plans.beside(path, f"map/{axis}")] = value
    arrays["routing/" + plans.beside(path, "weight")] = np.float32(0.0)
    flat = np.asarray(routing.flatten(axes)) / np.float32(span)
    for name in ("indices", "index_learner/bias"):
      parameter = "params/" + plans.beside(path, name)
      if parameter in arrays:
        arrays[parameter] = flat
  return arrays


def _maps(plan: Plan, arrays: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
  """Routing maps by kernel and axis."""
  return {
    path: {
      axis: arrays["routing/" + plans.beside(path, f"map/{axis}")] for axis in axes
    }
    for path, kernel in plan.kernels.items()
    if (axes := kernel.generator.offsets(kernel.shape))
  }


def _flatten(variables: Mapping[str, Tree]) -> dict[str, Any]:
  return traverse_util.flatten_dict(dict(variables), sep="/")
