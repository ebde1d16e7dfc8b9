"""A choice of a supernet as a plain network: its variables, cut out and stored small.

The network computes what the supernet computes with that choice, in fewer operations.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from neural_epitome.epitome import rounding
from neural_epitome.models.block import Block
from neural_epitome.models.layer_specs import Channels, middle
from neural_epitome.spaces.arch import FIELDS, KERNELS, Arch
from neural_epitome.spaces.chain_space import ChainSpace

Flat = dict[str, np.ndarray]
Tree = Any


def slice_variables(
  variables: Mapping[str, Tree], space: ChainSpace, arch: Arch
) -> dict[str, Tree]:
  """Variables of `space.network(arch)` as `spaces.chain_generators` stores it.

  Args:
    variables: `params` and `batch_stats` of the supernet.
    space: of the supernet.
    arch: the choice.
  """
  flat: Any = {
    name: traverse_util.flatten_dict(dict(variables[name]), sep="/")
    for name in ("params", "batch_stats")
  }
  kept: dict[str, Flat] = {
    name: {
      path: np.asarray(value)
      for path, value in arrays.items()
      if path.startswith("stem")
    }
    for name, arrays in flat.items()
  }
  classes = flat["params"]["classifier/kernel"].shape[-1]
  rows = zip(space.blocks(arch, classes), arch.rate, strict=True)
  for (prefix, block), rates in rows:
    for name, arrays in flat.items():
      kept[name] |= slice_block(arrays, prefix, block, rates)
  return {
    name: traverse_util.unflatten_dict(arrays, sep="/") for name, arrays in kept.items()
  }


def slice_block(
  arrays: Mapping[str, Any], prefix: str, block: Block, rates: Sequence[int]
) -> Flat:
  """The variables of a block, cut out of those of the supernet's block.

  Channels that shrink are reordered, see `_order`; of others that the block has fewer
  of, it has the first; of a larger kernel it has the middle.

  Args:
    arrays: parameters or statistics of the supernet, by path.
    prefix: of the block's paths.
    block: declaration of what is cut out.
    rates: epitome rate of each kernel in `KERNELS`.
  """
  sliced: Flat = {}
  order = _order(block.hidden.count, rates)

  def cut(value: np.ndarray, axis: int, channels: Channels, rate: int = 1):
    if not channels.shrinks:
      return np.take(value, np.arange(channels.count), axis)
    # The first of each group of the order stand together, and hold the group's mean.
    return np.take(_means(value, rate, axis), order[: len(order) // rate], axis)

  def keep(path: str, channels: Channels) -> None:
    if path in arrays:
      sliced[path] = cut(np.asarray(arrays[path]), -1, channels)

  for path, spec in block.convolutions():
    path = f"{prefix}{path}"
    keep(f"{path}/bias", spec.outputs)
    if spec.norm is not None:
      for name in ("scale", "bias", "mean", "var"):
        keep(f"{prefix}{spec.norm}/{name}", spec.outputs)
    if f"{path}/kernel" in arrays:
      kernel = np.asarray(arrays[f"{path}/kernel"])
      kernel = kernel[middle(kernel.shape[:-2], spec.kernel_size)]
      rate = {axis: 1 for axis in (-1, -2)}
      if spec.shrinking_axis is not None:
        rate[spec.shrinking_axis] = int(rates[KERNELS[spec.shrinking_axis]])
      if not spec.is_grouped:
        kernel = cut(kernel, -2, spec.inputs, rate[-2])
      kernel = cut(kernel, -1, spec.outputs, rate[-1])
      role = "kernel" if max(rate.values()) == 1 else "epitome"
      sliced[f"{path}/{role}"] = kernel
  return sliced


def _means(kernel: np.ndarray, count: int, axis: int) -> np.ndarray:
  """Each `count` channels that stand together replaced by their mean."""
  if count == 1:
    return kernel
  last = np.moveaxis(kernel, axis, -1)
  groups = last.reshape(*last.shape[:-1], -1, count)
  mean = np.broadcast_to(groups.mean(-1, keepdims=True), groups.shape)
  return np.moveaxis(mean.reshape(last.shape), -1, axis)


def _order(width: int, rates: Sequence[int]) -> np.ndarray:
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
  sliced = {**variables, "arch": {"arch": Arch(**arrays)}}
  if np.all(arch.bits == 32):
    return sliced
  params: Any = traverse_util.flatten_dict(dict(variables["params"]), sep="/")
  classes = params["classifier/kernel"].shape[-1]
  rows = zip(space.blocks(arch, classes), arch.rate, arch.bits, strict=True)
  for (prefix, block), rates, widths in rows:
    for path, spec, axis in block.rated():
      path, bits = f"{prefix}{path}/kernel", int(widths[KERNELS[axis]])
      if bits == 32:
        continue
      tied = _means(np.asarray(params[path]), int(rates[KERNELS[axis]]), axis)
      # Factors are of what the network has: rows beyond it are nothing.
      is_read = np.arange(tied.shape[-2]) < spec.inputs.count
      own = jnp.asarray(tied * is_read[:, None])
      params[path] = rounding.straight_through(own, bits)
  return sliced | {"params": traverse_util.unflatten_dict(params, sep="/")}
