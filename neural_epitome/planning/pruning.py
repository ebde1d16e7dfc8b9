"""Channel pruning by magnitude: a trained network, less its weakest channels.

A channel's magnitude is what it can add to the next layer's output: |gamma| of the
last batch norm it passes, times the L2 norm of the weights that read it, those scaled
as the batch norm after them scales their outputs. (The bare norm of a filter before a
batch norm says nothing: the batch norm divides it out.) Channels of all groups are
ranked together and the weakest left out (global magnitude pruning; the slimming of
arXiv 1708.06519 ranks by |gamma| alone).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from flax import traverse_util

from neural_epitome.epitome.geometry import KernelUse
from neural_epitome.errors import UserError
from neural_epitome.models import ModelConfig
from neural_epitome.models.base import ChannelGroup

Tree = Any
Flat = Mapping[str, np.ndarray]

_EPSILON = 1e-5


def prune(
  config: ModelConfig, variables: Tree, parameters: int, minimum: int = 8
) -> tuple[ModelConfig, dict[str, Tree]]:
  """Leaves out the weakest channels until a budget is met.

  Args:
    config: the architecture of the trained, dense network.
    variables: its `params` and `batch_stats`.
    parameters: to keep in all, biases and batch norm included.
    minimum: channels that every group keeps, or all it has if these are fewer.

  Returns:
    The narrower architecture, and variables for it, sliced from the trained ones.
    On any input it computes what the trained network does with the other channels'
    outgoing weights zero.

  Raises:
    UserError: if the architecture cannot be pruned, the network is not dense, or the
      budget cannot be met within 1%, naming what can.
  """
  groups = config.channel_groups()
  params = _flatten(variables["params"])
  stats = _flatten(variables.get("batch_stats", {}))
  for group in groups:
    for path in group.members:
      if path not in params:
        raise UserError(f"Pruning needs a dense network: {path} is not stored whole.")
  kept = select(groups, params, stats, parameters, minimum)
  sliced = {
    "params": _slice(groups, params, kept),
    "batch_stats": _slice(groups, stats, kept),
  }
  narrow = config.narrowed({name: len(rows) for name, rows in kept.items()})
  return narrow, {
    name: traverse_util.unflatten_dict(flat, sep="/") for name, flat in sliced.items()
  }


def narrowest(
  config: ModelConfig, kernels: Iterable[KernelUse], minimum: int = 8
) -> ModelConfig:
  """The smallest architecture that `prune` can leave.

  Args:
    config: the architecture of the dense network.
    kernels: of it.
    minimum: see `prune`.
  """
  shapes = {use.path: use.shape for use in kernels}
  counts = {}
  for group in config.channel_groups():
    path, axis = next((p, a) for p, a in group.members.items() if p in shapes)
    counts[group.name] = min(minimum, shapes[path][axis])
  return config.narrowed(counts)


def magnitudes(group: ChannelGroup, params: Flat, stats: Flat) -> np.ndarray:
  """The magnitude of every channel of a group, see the module."""
  reading = np.moveaxis(params[group.consumer], -2, 0)
  if group.consumer_norm is not None:
    variance = stats[f"{group.consumer_norm}/var"] + _EPSILON
    reading = reading * (params[f"{group.consumer_norm}/scale"] / np.sqrt(variance))
  flat = reading.reshape(len(reading), -1)
  return np.abs(params[f"{group.norms[-1]}/scale"]) * np.linalg.norm(flat, axis=1)


def select(
  groups: Sequence[ChannelGroup],
  params: Flat,
  stats: Flat,
  parameters: int,
  minimum: int,
) -> dict[str, np.ndarray]:
  """The channels that stay, in order, by group.

  Raises:
    UserError: if the budget cannot be met within 1%; it names what can.
  """
  scores = {group.name: magnitudes(group, params, stats) for group in groups}
  counts = {name: len(values) for name, values in scores.items()}
  ranked = sorted(
    (score, name, channel)
    for name, values in scores.items()
    for channel, score in enumerate(values)
  )
  axes = _axes(groups, params)
  size, gone = _size(params, axes, counts), set()
  for _, name, channel in ranked:
    if size <= parameters:
      break
    if counts[name] <= minimum:
      continue
    fewer = counts | {name: counts[name] - 1}
    after = _size(params, axes, fewer)
    is_met = abs(size - parameters) <= 0.01 * parameters
    if is_met and abs(after - parameters) > abs(size - parameters):
      break
    if after < 0.99 * parameters:
      # It would take too many weights along; a weak channel of a narrower layer may do.
      continue
    counts, size = fewer, after
    gone.add((name, channel))
  if abs(size - parameters) > 0.01 * parameters:
    least = min(counts, key=lambda name: counts[name])
    raise UserError(
      f"pruned cannot store {parameters:,} parameters: it comes to {size:,}, with "
      f"{counts[least]} channels in {least} ({minimum} at least in every group)."
    )
  return {
    name: np.array([c for c in range(len(values)) if (name, c) not in gone], int)
    for name, values in scores.items()
  }


def _axes(groups: Sequence[ChannelGroup], flat: Flat) -> dict[str, dict[int, str]]:
  """For each array the axes that are channels of a group: {path: {axis: group}}."""
  axes: dict[str, dict[int, str]] = {}
  for group in groups:
    for path, axis in group.members.items():
      axes.setdefault(path, {})[axis] = group.name
      if axis == -1:
        axes.setdefault(path.removesuffix("kernel") + "bias", {})[-1] = group.name
    for norm in group.norms:
      for name in ("scale", "bias", "mean", "var"):
        axes.setdefault(f"{norm}/{name}", {})[-1] = group.name
  return {path: axis_ for path, axis_ in axes.items() if path in flat}


def _size(
  params: Flat, axes: Mapping[str, Mapping[int, str]], counts: Mapping[str, int]
) -> int:
  total = 0
  for path, value in params.items():
    size = value.size
    for axis, name in axes.get(path, {}).items():
      size = size // value.shape[axis] * counts[name]
    total += size
  return total


def _slice(
  groups: Sequence[ChannelGroup], flat: Flat, kept: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
  sliced = dict(flat)
  for path, axes in _axes(groups, flat).items():
    for axis, name in axes.items():
      sliced[path] = np.take(sliced[path], kept[name], axis=axis)
  return sliced


def _flatten(tree: Tree) -> dict[str, np.ndarray]:
  flat = traverse_util.flatten_dict(tree, sep="/")
  return {path: np.asarray(value) for path, value in flat.items()}
