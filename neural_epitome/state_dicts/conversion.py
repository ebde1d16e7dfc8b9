"""From a state dict of another library to the variables of our network."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from neural_epitome.cost.inventory import Inventory
from neural_epitome.errors import UserError
from neural_epitome.models.base import CLASSIFIER, ModelConfig
from neural_epitome.state_dicts import checks
from neural_epitome.state_dicts import names as tables
from neural_epitome.state_dicts.names import Names

Arrays = Mapping[str, np.ndarray]

# Of the batch norms of both libraries' networks. A state dict does not hold it; timm's
# `tf_` networks, whose padding is another too, have 1e-3 under the same names.
EPSILON = 1e-5

# What a norm has in torch -> our collection and name; a layer norm has the first two.
_NORM = {
  "weight": ("params", "scale"),
  "bias": ("params", "bias"),
  "running_mean": ("batch_stats", "mean"),
  "running_var": ("batch_stats", "var"),
}
_SHOWN = 3


def recognise(state: Arrays, model: ModelConfig) -> Names:
  """The table of names that a state dict follows.

  Args:
    state: arrays by name.
    model: the architecture.

  Raises:
    UserError: if it follows none that the architecture has.
  """
  layers = {name.rpartition(".")[0] for name in state}
  layouts = tables.layouts(model)
  best = max(layouts.values(), key=lambda names: len(layers & set(names.values())))
  if best[CLASSIFIER] + ".weight" in state and best["stem"] + ".weight" in state:
    return best
  stems = " or ".join(f"{names['stem']}.weight" for names in layouts.values())
  raise UserError(
    f"it is no {model.kind} of {' or '.join(layouts)} with its classifier: of "
    f"{stems} and {best[CLASSIFIER]}.weight not both are there. It has "
    f"{_some(state)}. Set config.model to its network."
  )


def unwrapped(state: Arrays, model: ModelConfig) -> Arrays:
  """A state dict without what stands before the names that the architecture has.

  Of arrays under another prefix, as those of a loss or a second network, nothing is
  left. What does not fit under any prefix is returned as it is.

  Args:
    state: arrays by name.
    model: the architecture.
  """
  prefix = ""
  for table in tables.layouts(model).values():
    first, last = f"{table['stem']}.weight", f"{table[CLASSIFIER]}.weight"
    for name in state:
      before = name.removesuffix(first)
      fits = before + first == name and before + last in state
      if fits and before.endswith(".") and len(before) > len(prefix):
        prefix = before
  return {
    name.removeprefix(prefix): array
    for name, array in state.items()
    if name.startswith(prefix)
  }


def count_classes(state: Arrays, names: Names) -> int:
  """How many classes the classifier of a state dict tells apart."""
  return len(np.atleast_1d(state[names[CLASSIFIER] + ".weight"]))


def convert(state: Arrays, names: Names, inventory: Inventory) -> dict[str, Any]:
  """The variables of a dense network with the weights of a state dict.

  Convolutions go from (outputs, inputs, height, width) to (height, width, inputs,
  outputs), dense kernels from (outputs, inputs) to (inputs, outputs).

  Args:
    state: float arrays by name; counters of batch norms are left out.
    names: from `recognise`.
    inventory: of the network, with as many classes as the state dict has.

  Returns:
    {"params": ..., "batch_stats": ...}, nested, float32; the second may be empty.

  Raises:
    UserError: naming what is missing, left over, of another shape or not finite, or a
      variance below zero.
  """
  expected_shapes = _expected_shapes(inventory)
  sources = {path: _source(path, names) for path in expected_shapes}
  needed = set(sources.values())
  given = {name for name in state if not name.endswith("num_batches_tracked")}
  faults = []
  if needed - given:
    faults.append(f"{len(needed - given)} missing ({_some(needed - given)})")
  if given - needed:
    faults.append(f"{len(given - needed)} left over ({_some(given - needed)})")
  arrays = {
    path: _turned(np.asarray(state[name], np.float32))
    for path, name in sources.items()
    if name in state
  }
  mismatches = [
    f"{sources[path]} gives {list(array.shape)} for {list(expected_shapes[path])}"
    for path, array in arrays.items()
    if array.shape != expected_shapes[path]
  ]
  if mismatches:
    faults.append(f"{len(mismatches)} of other shapes ({_some(mismatches, '; ')})")
  if faults:
    raise UserError(
      f"of {len(needed)} tensors: {', '.join(faults)}. Set config.model and the "
      "image size and channels of config.data to its network."
    )
  checks.check_values({sources[path]: array for path, array in arrays.items()})
  return {"batch_stats": {}} | traverse_util.unflatten_dict(arrays, sep="/")


def _expected_shapes(inventory: Inventory) -> dict[str, tuple[int, ...]]:
  """Shapes of all variables of the dense network."""
  expected = {f"params/{use.path}": tuple(use.shape) for use in inventory.kernels}
  expected |= {f"params/{name}": tuple(shape) for name, shape in inventory.rest.items()}
  for layer in inventory.batch_norms:
    for statistic in ("mean", "var"):
      shape = inventory.rest[f"{layer}/scale"]
      expected[f"batch_stats/{layer}/{statistic}"] = tuple(shape)
  return expected


def _source(path: str, names: Names) -> str:
  """The name in the state dict of one of our variables."""
  collection, _, rest = path.partition("/")
  if rest in names:
    return names[rest]
  layer, _, last = rest.rpartition("/")
  theirs = {ours: name for name, ours in _NORM.items()}
  name = "weight" if last == "kernel" else theirs[collection, last]
  return f"{names[layer]}.{name}"


def _turned(array: np.ndarray) -> np.ndarray:
  if array.ndim == 4:
    array = array.transpose(2, 3, 1, 0)
  return np.ascontiguousarray(array.T if array.ndim == 2 else array)


def _some(items: Iterable[str], between: str = ", ") -> str:
  """A few of many."""
  listed: Collection[str] = sorted(items)
  more = f"{between}..." if len(listed) > _SHOWN else ""
  return between.join(list(listed)[:_SHOWN]) + more
