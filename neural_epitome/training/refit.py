"""A trained network as another plan of its architecture stores it."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from neural_epitome.config import Config
from neural_epitome.epitome import fitting, routing
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.plan import Plan
from neural_epitome.epitome.sampling import Shape
from neural_epitome.models.base import CLASSIFIER

_LAST = f"{CLASSIFIER}/kernel"
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
  """
  trained, fresh = (
    {name: np.asarray(leaf) for name, leaf in jax.device_get(dict(arrays)).items()}
    for arrays in (trained, fresh)
  )
  # Kernels as the network reads them.
  given = source.rounded({name: trained[f"params/{name}"] for name in source.tensors})
  kernels = {
    path: fitting.generate(source, given, _maps(source, trained), path)
    for path in source.kernels
  }
  offsets = {
    path: {axis: np.round(value) for axis, value in axes.items()}
    for path, axes in _maps(plan, fresh).items()
  }
  start = {}
  if source.kernels[_LAST].shape != plan.kernels[_LAST].shape:
    had, has = source.kernels[_LAST].shape[-1], plan.kernels[_LAST].shape[-1]
    say(
      f"The start tells {had} classes apart, not {has}: the classifier starts afresh."
    )
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
