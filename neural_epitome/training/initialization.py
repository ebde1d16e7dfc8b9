"""A run that starts from trained variables instead of random ones.

From a network of the same architecture and another plan, a dense one above all, its
kernels are fitted: what the new plan stores is then the nearest to what was trained.
Classes are matched by name: the classifier comes along in their order, and where the
start tells other ones apart, it is not taken.
"""

import contextlib
import itertools
import json
import os
import pathlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from neural_epitome import whole_files
from neural_epitome.config import Config
from neural_epitome.data import classes as class_lists
from neural_epitome.distributed import collectives
from neural_epitome.epitome import activations
from neural_epitome.epitome.plan import Plan
from neural_epitome.errors import UserError
from neural_epitome.training import loading, pretrained, refit
from neural_epitome.training.feed import Feed
from neural_epitome.training.state import State
from neural_epitome.training.trained import Trained

Tree = Any


# What class names are called in a file of variables: JSON as bytes, for those who read
# numbers alone.
_CLASSES = "classes"


def save(
  variables: Mapping[str, Tree],
  path: str | os.PathLike,
  classes: Sequence[str] | None = None,
) -> None:
  """Writes variables to a file that `config.training.start` can name.

  Args:
    variables: `params`, and `batch_stats` and `routing` where there are any.
    path: a file in NumPy's .npz form: one array a variable, named by its path. It is
      written whole or not at all.
    classes: class names by label, if they are to be compared with those of a run.
  """
  arrays = jax.device_get(_flatten(variables))
  if classes is not None:
    arrays |= {_CLASSES: np.frombuffer(json.dumps(list(classes)).encode(), np.uint8)}
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  with whole_files.replacing(path) as partial, partial.open("wb") as file:
    np.savez(file, **arrays)


def read(
  start: str | os.PathLike, config: Config
) -> tuple[dict[str, Any], Trained | None]:
  """Arrays by path, from a file that `save` wrote or from a trained network.

  A run's are its averaged weights where it averages them. With the network, but for a
  file of `save`, which is of none.

  Args:
    start: see `config.training.start`.
    config: whose network a state dict is taken to be of.

  Raises:
    UserError: if it is none of them.
  """
  path = pathlib.Path(start)
  trained = None
  if not _is_saved_here(path) and pretrained.is_state_dict(path):
    trained = pretrained.load_pretrained(path, config)
  elif path.is_dir() or path.suffix == ".safetensors":
    trained = loading.load(path)
  if trained:
    return _flatten(trained.variables), trained
  try:
    with np.load(path) as arrays:
      return {name: arrays[name] for name in arrays if name != _CLASSES}, None
  except (OSError, ValueError, zipfile.BadZipFile) as error:
    raise UserError(
      f"config.training.start={str(start)!r} is no run directory, compact file, state "
      f"dict or readable .npz file of variables ({type(error).__name__})."
    ) from None


def begin(
  state: State,
  start: str | os.PathLike,
  plan: Plan,
  config: Config,
  say: Callable[[str], None],
  *,
  classes: Sequence[str] | None = None,
) -> State:
  """Replaces the variables of a fresh state, the averaged ones too.

  Routing maps come along, but not whether they were frozen.

  Args:
    state: of the run.
    start: see `config.training.start`.
    plan: of the run.
    config: of the run.
    say: is told how near the kernels are that were fitted, and of a classifier that
      was not taken.
    classes: of the run, by label; None takes the start's classifier as it is.

  Raises:
    UserError: if the variables are not those of the network, naming the first that
      is missing, superfluous or of another shape.
  """
  arrays, trained = read(start, config)
  theirs = _named_in(start) if trained is None else trained.classes
  labels = None
  if classes is not None and theirs is not None:
    labels = _matched(theirs, classes, config, say)
  variables = state.variables()
  fresh = _flatten(variables)
  if trained and trained.plan != plan and refit.is_possible(trained.plan, plan):
    importance = _importance(trained, config)
    arrays = refit.refit(
      arrays, trained.plan, plan, fresh, config, importance, say, labels=labels
    )
  elif labels is not None and [*labels] != [*range(len(theirs or ()))]:
    arrays = refit.with_classes(arrays, fresh, labels, plan, say)
  where = f"config.training.start={os.fspath(start)!r} does not fit the network"
  for path, leaf in fresh.items():
    if path not in arrays:
      raise UserError(f"{where}: it has no {path}, of shape {list(leaf.shape)}.")
    if arrays[path].shape != leaf.shape:
      raise UserError(
        f"{where}: its {path} has shape {list(arrays[path].shape)}, the network's "
        f"{list(leaf.shape)}."
      )
  for path in arrays:
    if path not in fresh:
      raise UserError(f"{where}: it has {path}, which the network has not.")
  placed = {
    path: leaf
    if path.endswith("/frozen")
    else jax.device_put(np.asarray(arrays[path], leaf.dtype), leaf.sharding)
    for path, leaf in fresh.items()
  }
  started = {name: {} for name in variables} | traverse_util.unflatten_dict(
    placed, sep="/"
  )
  ema = jax.tree.map(lambda leaf: leaf.copy(), started) if state.ema else state.ema
  return state.replace(ema=ema, **started)


def _is_saved_here(path: pathlib.Path) -> bool:
  """Whether `save` wrote a file: other files of arrays name no collections."""
  if not path.is_file() or not zipfile.is_zipfile(path):
    return False
  with zipfile.ZipFile(path) as archive:
    return any(name.startswith("params/") for name in archive.namelist())


def _named_in(file: str | os.PathLike) -> tuple[str, ...] | None:
  """Class names in a file of `save`; None if it has none."""
  with np.load(file) as arrays:
    if _CLASSES not in arrays:
      return None
    return tuple(json.loads(arrays[_CLASSES].tobytes()))


def _matched(
  theirs: Sequence[str],
  classes: Sequence[str],
  config: Config,
  say: Callable[[str], None],
) -> tuple[int, ...]:
  """For each class its label in the start; empty, and a word, if they are others."""
  labels = class_lists.labels(theirs, classes)
  if labels is None:
    words = class_lists.difference(theirs, classes)
    say(
      f"The start tells other classes apart ({words}; there: the start, here: the "
      "data): the classifier starts afresh."
    )
    return ()
  is_moved = labels != tuple(range(len(theirs)))
  if is_moved and getattr(config.model, "classifier_groups", 1) > 1:
    say("The start has its classes in another order and in groups: it starts afresh.")
    return ()
  if class_lists.are_names(theirs) != class_lists.are_names(classes):
    say(
      f"One of the start and the data has no names for its {len(classes)} classes: the "
      "classifier is taken label by label."
    )
  return labels


def _importance(trained: Trained, config: Config) -> dict[str, np.ndarray]:
  """Mean squares of what the network's layers read, the same on every host."""
  count = config.training.fit_batches
  if not count:
    return {}

  def call(batch: Mapping[str, Any]) -> Any:
    return trained.model.apply(trained.variables, batch["image"], train=False)

  with contextlib.closing(Feed(config).training(0)) as batches:
    first = itertools.islice(batches, count)
    return collectives.mean_of_all(activations.input_importance(call, first))


def _flatten(variables: Mapping[str, Tree]) -> dict[str, Any]:
  return traverse_util.flatten_dict(dict(variables), sep="/")
