"""A choice of a supernet as a plain network: its variables, cut out and stored small.

The network computes what the supernet computes with that choice, in fewer operations.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from neural_epitome.epitome import rounding
from neural_epitome.models.chain import OPERATIONS
from neural_epitome.spaces.arch import FIELDS, KERNELS, LAST_KERNELS, Arch
from neural_epitome.spaces.chain_space import ChainSpace

Flat = dict[str, np.ndarray]
Tree = Any


def slice_variables(
  variables: Mapping[str, Tree], space: ChainSpace, arch: Arch
) -> dict[str, Tree]:
  """Variables of `space.network(arch)` as `models.chain_generators` stores it.

  Args:
    variables: `params` and `batch_stats` of the supernet.
    space: of the supernet.
    arch: the choice.
  """
  params = traverse_util.flatten_dict(dict(variables["params"]), sep="/")
  stats = traverse_util.flatten_dict(dict(variables["batch_stats"]), sep="/")
  inputs = space.inputs(arch)
  kept: Flat = {}
  kept_stats: Flat = {}
  for path, value in params.items():
    if path.startswith("stem"):
      kept[path] = np.asarray(value)
  for path, value in stats.items():
    if path.startswith("stem"):
      kept_stats[path] = np.asarray(value)
  # Head and classifier are as the 1x1 kernels of a block whose hidden channels are the
  # head's.
  width = params["head/kernel"].shape[-1]
  order = _order(width, arch.rate[-1])
  for path, value in _below(params, "head_norm/"):
    kept[path] = np.asarray(value)[order]
  for path, value in _below(stats, "head_norm/"):
    kept_stats[path] = np.asarray(value)[order]
  kept["classifier/bias"] = np.asarray(params["classifier/bias"])
  kernels = {
    "head": np.asarray(params["head/kernel"])[..., : inputs[-1], :],
    "classifier": np.asarray(params["classifier/kernel"]),
  }
  kept |= _stored(kernels, order, arch.rate[-1])
  for index in range(len(space.positions)):
    if not arch.width[index]:
      continue
    at = f"block_{index}/"
    own = {p.removeprefix(at): np.asarray(v) for p, v in _below(params, at)}
    own_stats = {p.removeprefix(at): np.asarray(v) for p, v in _below(stats, at)}
    cut = _block(own, arch, index, inputs[index])
    kept |= {at + path: value for path, value in cut.items()}
    order = _order(int(arch.width[index]), arch.rate[index])
    for path, value in own_stats.items():
      is_hidden = not path.startswith("project_norm")
      kept_stats[at + path] = value[order] if is_hidden else value
  return {
    "params": traverse_util.unflatten_dict(kept, sep="/"),
    "batch_stats": traverse_util.unflatten_dict(kept_stats, sep="/"),
  }


def _below(flat: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
  return [(path, value) for path, value in flat.items() if path.startswith(prefix)]


def _block(own: Flat, arch: Arch, index: int, inputs: int) -> Flat:
  """Parameters of a block, by their path in it."""
  order = _order(int(arch.width[index]), arch.rate[index])
  window = int(arch.window[index])
  edge = (own["depthwise/kernel"].shape[0] - window) // 2
  middle = slice(edge, edge + window)
  found: Flat = {}
  for path, value in own.items():
    layer, _, name = path.rpartition("/")
    if layer == "depthwise":
      found[path] = value[middle, middle][..., order]
    elif layer in ("expand_norm", "depthwise_norm"):
      found[path] = value[order]
    elif layer == "project_norm":
      found[path] = value
    elif layer.startswith("se/"):
      if OPERATIONS[int(arch.operation[index])] == "squeeze_excite":
        if layer == "se/excite":
          value = value[..., order]
        elif name == "kernel":
          value = value[..., order, :]
        found[path] = value
  kernels = {
    "expand": own["expand/kernel"][..., :inputs, :],
    "project": own["project/kernel"],
  }
  return found | _stored(kernels, order, arch.rate[index])


def _stored(kernels: Flat, order: np.ndarray, rates: np.ndarray) -> Flat:
  """What is stored of a kernel that makes hidden channels, and of one that reads them.

  Args:
    kernels: both, in that order, by name.
    order: of the hidden channels, see `_order`.
    rates: of both.
  """
  found: Flat = {}
  for number, (name, kernel) in enumerate(kernels.items()):
    axis, count = (-1, -2)[number], int(rates[number])
    role = "kernel" if count == 1 else "epitome"
    # The first of each group of the order stand together, and hold the group's mean.
    tied = _means(kernel, count, axis)
    chosen = order[: len(order) // count]
    found[f"{name}/{role}"] = np.take(tied, chosen, axis=axis)
  return found


def _means(kernel: np.ndarray, count: int, axis: int) -> np.ndarray:
  """Each `count` channels that stand together replaced by their mean."""
  if count == 1:
    return kernel
  last = np.moveaxis(kernel, axis, -1)
  groups = last.reshape(*last.shape[:-1], -1, count)
  mean = np.broadcast_to(groups.mean(-1, keepdims=True), groups.shape)
  return np.moveaxis(mean.reshape(last.shape), -1, axis)


def _order(width: int, rates: np.ndarray) -> np.ndarray:
  """The supernet's hidden channel at each place of the plain network.

  In the supernet channels that share stand together, whatever the rate; where they are
  tiled, places that are equal modulo the epitome's channels share. Written as g * R + b
  with R the larger rate, channel g * R + b goes to place rev(b) * (width / R) + g, rev
  reversing the bits of b: that does for both rates at once.
  """
  largest = int(np.max(rates))
  bits = largest.bit_length() - 1
  reverse = [
    sum((b >> i & 1) << (bits - 1 - i) for i in range(bits)) for b in range(largest)
  ]
  group = np.arange(width // largest)
  return np.concatenate([group * largest + reverse[q] for q in range(largest)])


def with_choice(
  variables: Mapping[str, Tree], space: ChainSpace, arch: Arch
) -> dict[str, Tree]:
  """Variables that make the supernet compute one choice.

  Rates are in the choice, as the supernet reads it. Bits are not: kernels are rounded
  here, as the network that the choice stands for rounds its epitomes.
  """
  arrays = {
    name: jnp.asarray(value, jnp.int32)
    for name, value in ((f, getattr(arch, f)) for f in FIELDS)
  }
  found = {**variables, "arch": {"arch": Arch(**arrays)}}
  if np.all(arch.bits == 32):
    return found
  params = traverse_util.flatten_dict(dict(variables["params"]), sep="/")
  inputs, blocks = space.inputs(arch), len(space.positions)
  for index, channels in enumerate(inputs):
    is_last = index == blocks
    width = params["head/kernel"].shape[-1] if is_last else int(arch.width[index])
    for number, name in enumerate(LAST_KERNELS if is_last else KERNELS):
      path = f"{name}/kernel" if is_last else f"block_{index}/{name}/kernel"
      bits = int(arch.bits[index, number])
      if bits == 32 or not width:
        continue
      axis, read = (-1, -2)[number], (channels, width)[number]
      tied = _means(np.asarray(params[path]), int(arch.rate[index, number]), axis)
      # Factors are of what the network has: rows beyond it are nothing.
      rows = np.arange(tied.shape[-2]) < read
      params[path] = rounding.straight_through(jnp.asarray(tied * rows[:, None]), bits)
  return found | {"params": traverse_util.unflatten_dict(params, sep="/")}
