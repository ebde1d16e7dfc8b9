"""A trained network as another plan of its architecture stores it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from neural_epitome.config import Config
from neural_epitome.epitome import fitting, routing
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.generators.dense import Dense
from neural_epitome.epitome.plan import Plan
from neural_epitome.epitome.sampling import Shape
from neural_epitome.errors import UserError
from neural_epitome.models.base import CLASSIFIER

_LAST = f"{CLASSIFIER}/kernel"
_BIAS = f"params/{CLASSIFIER}/bias"
# What offsets are learned by, as it is called beside its kernel.
_LEARNED_BY = {"indices", "index_learner"}


def is_possible(source: Plan, plan: Plan) -> bool:
  """Whether both are of one architecture, but for the number of classes."""
  return _before_classifier(source) == _before_classifier(plan)


def refit(
  trained: Mapping[str, Any],
  source: Plan,
  plan: Plan,
  fresh: Mapping[str, Any],
  config: Config,
  importance: Mapping[str, np.ndarray],
  say: Callable[[str], None],
  *,
  labels: Sequence[int] | None = None,
) -> dict[str, Any]:
  """The arrays of a network of another plan, as this plan stores them.

  Kernels are fitted, what is no kernel is taken over, and what offsets are learned by
  is fresh. So is a classifier of other classes: the kernel that it is generated as
  before training is fitted with the rest.

  Args:
    trained: arrays of the trained network, by path.
    source: its plan.
    plan: the other; `is_possible` of both holds.
    fresh: the fresh arrays of a network of `plan`, by path.
    config: of the run.
    importance: see `fitting.fit`.
    say: is told how near the kernels are, and of a fresh classifier.
    labels: for each class of the run its label in the trained network, none if that
      tells other classes apart. By default the classifier is taken as it is, if it is
      of as many classes.
  """
  trained, fresh = (
    {name: np.asarray(leaf) for name, leaf in jax.device_get(dict(arrays)).items()}
    for arrays in (trained, fresh)
  )
  kernels = expanded(trained, source)
  offsets = {
    path: {axis: np.round(value) for axis, value in axes.items()}
    for path, axes in _maps(plan, fresh).items()
  }
  start = {}
  had, has = source.kernels[_LAST].shape[-1], plan.kernels[_LAST].shape[-1]
  if labels is None and had != has:
    say(
      f"The start tells {had} classes apart, not {has}: the classifier starts afresh."
    )
    labels = ()
  if labels:
    kernels[_LAST] = kernels[_LAST][..., list(labels)]
    trained |= {
      name: leaf[list(labels)] for name, leaf in trained.items() if name == _BIAS
    }
  elif labels is not None:
    trained = {
      name: leaf for name, leaf in trained.items() if not _is_of_classifier(name)
    }
    # Fitted from what it is made of: signs that cancel would leave ones at zero.
    own = plan.kernels[_LAST].tensors.values()
    start = {name: fresh[f"params/{name}"] for name in own}
    kernels[_LAST] = fitting.generate(plan, start, offsets, _LAST)
  if config.training.fit == "full":
    tensors, offsets = fitting.search(
      plan, kernels, offsets, start=start, importance=importance
    )
  else:
    tensors = fitting.fit(plan, kernels, offsets, start, importance=importance)
  errors = [
    fitting.relative_error(
      kernels[path], fitting.generate(plan, tensors, offsets, path)
    )
    for path in plan.compressed
  ]
  if errors:
    mean = np.mean(errors)
    say(f"Fitted {len(errors)} kernels, relative error {mean:.3f} on average.")
  arrays = {
    name: leaf if _LEARNED_BY & set(name.split("/")) else trained.get(name, leaf)
    for name, leaf in fresh.items()
  }
  arrays |= {f"params/{name}": value for name, value in tensors.items()}
  return arrays | placed(offsets, arrays, config.indices.span)


def expanded(arrays: Mapping[str, np.ndarray], plan: Plan) -> dict[str, np.ndarray]:
  """Every kernel as the network reads it, by path.

  Args:
    arrays: of a network, by path.
    plan: of it.
  """
  given = plan.rounded({name: arrays[f"params/{name}"] for name in plan.tensors})
  maps = _maps(plan, arrays)
  return {path: fitting.generate(plan, given, maps, path) for path in plan.kernels}


def placed(
  offsets: Mapping[str, Mapping[str, np.ndarray]],
  arrays: Mapping[str, Any],
  span: float,
) -> dict[str, np.ndarray]:
  """Offsets as the variables of a network hold them, by path.

  Args:
    offsets: by kernel and axis.
    arrays: of the network, which say by what offsets are learned, if they are.
    span: see `routing.IndexOptions`.
  """
  found = {}
  for path, axes in offsets.items():
    for axis, value in axes.items():
      found["routing/" + plans.beside(path, f"map/{axis}")] = value
    found["routing/" + plans.beside(path, "weight")] = np.float32(0.0)
    flat = np.asarray(routing.flatten(axes)) / np.float32(span)
    for name in ("indices", "index_learner/bias"):
      parameter = "params/" + plans.beside(path, name)
      if parameter in arrays:
        found[parameter] = flat
  return found


def with_classes(
  arrays: Mapping[str, Any],
  fresh: Mapping[str, Any],
  labels: Sequence[int],
  plan: Plan,
  say: Callable[[str], None],
) -> dict[str, Any]:
  """The arrays of a network of the same plan, its classifier for other classes.

  Args:
    arrays: of the trained network, by path.
    fresh: of a fresh one.
    labels: see `refit`.
    plan: of both.
    say: is told of a classifier whose classes cannot be put in another order.

  Raises:
    UserError: if it cannot start afresh either: other kernels are made of the same.
  """
  kernel = plan.kernels[_LAST]
  if labels and isinstance(kernel.generator, Dense):
    names = (_BIAS, *(f"params/{name}" for name in kernel.tensors.values()))
    moved = {n: np.asarray(arrays[n])[..., list(labels)] for n in names if n in arrays}
    return dict(arrays) | moved
  own = set(kernel.tensors.values())
  if any(own & {*k.tensors.values()} for p, k in plan.kernels.items() if p != _LAST):
    raise UserError(
      f"config.training.start: {_LAST} shares what is stored with other kernels, and "
      'its classes cannot be changed; give the planner keep=["classifier/kernel"].'
    )
  if labels:
    say(
      "The classifier is generated, and its classes have another order: it starts "
      "afresh."
    )
  replaced = {
    name: leaf
    for name, leaf in fresh.items()
    if _is_of_classifier(name)
    or name.startswith(f"routing/{CLASSIFIER}/")
    or name.removeprefix("params/") in own
  }
  return dict(arrays) | replaced


def _is_of_classifier(name: str) -> bool:
  return name.startswith(f"params/{CLASSIFIER}/")


def _maps(plan: Plan, arrays: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
  """Routing maps by kernel and axis."""
  return {
    path: {
      axis: arrays["routing/" + plans.beside(path, f"map/{axis}")] for axis in axes
    }
    for path, kernel in plan.kernels.items()
    if (axes := kernel.generator.offsets(kernel.shape))
  }


def _before_classifier(plan: Plan) -> dict[str, Shape]:
  """Shapes of all kernels of an architecture that do not depend on the classes."""
  return {path: one.shape for path, one in plan.kernels.items() if path != _LAST}
