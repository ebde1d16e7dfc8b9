"""Padding of a convolution's input, in every form that Flax's layers take."""

import numbers
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from neural_epitome.errors import UserError

Pairs = tuple[tuple[int, int], ...]
# What a user writes, and what `canonical` makes of it.
Padding = str | int | Sequence[int | Sequence[int]]
CanonicalPadding = str | Pairs

# Values that are no zeros, by the name that `jnp.pad` has for them.
_MODES = {"CIRCULAR": "wrap", "REFLECT": "reflect"}
_STRINGS = ("SAME", "SAME_LOWER", "VALID", "CIRCULAR", "REFLECT", "CAUSAL")


def canonical(
  padding: Padding, kernel_size: Sequence[int], kernel_dilation: Sequence[int]
) -> CanonicalPadding:
  """A string that needs the input's size to be resolved, or explicit pairs.

  Args:
    padding: "SAME", "VALID", "CIRCULAR" (the input continues periodically), "REFLECT"
      (it is mirrored at its borders), "CAUSAL" (1-D: zeros before it alone, and an
      output as long as the input), a number of zeros on every side, or for each
      spatial axis such a number or a (low, high) pair.
    kernel_size: one a spatial axis.
    kernel_dilation: one a spatial axis.

  Returns:
    "SAME", "SAME_LOWER", "VALID", "CIRCULAR" or "REFLECT", or (low, high) zeros for
    each spatial axis.

  Raises:
    UserError: for any other value, and for "CAUSAL" in more than one dimension.
  """
  rank = len(kernel_size)
  if isinstance(padding, str):
    name = padding.upper()
    if name not in _STRINGS:
      known = ", ".join(_STRINGS)
      raise UserError(f"padding={padding!r} must be one of {known}, or numbers.")
    if name != "CAUSAL":
      return name
    if rank != 1:
      raise UserError(
        f"padding='CAUSAL' is for 1-D convolutions; kernel_size={tuple(kernel_size)} "
        f"has {rank} axes: give (low, high) pairs."
      )
    return ((kernel_dilation[0] * (kernel_size[0] - 1), 0),)
  value: Any = padding
  axes = (value,) * rank if isinstance(value, numbers.Integral) else tuple(value)
  pairs: Any = tuple(
    (int(axis),) * 2 if isinstance(axis, numbers.Integral) else tuple(map(int, axis))
    for axis in axes
  )
  if len(pairs) != rank or any(len(pair) != 2 for pair in pairs):
    raise UserError(
      f"padding={padding!r} must be a string, a number, or for each of the {rank} "
      "spatial axes a number or a (low, high) pair."
    )
  return pairs


def resolve(
  x: jax.Array,
  padding: CanonicalPadding,
  *,
  kernel_size: Sequence[int],
  strides: Sequence[int],
  kernel_dilation: Sequence[int],
  input_dilation: Sequence[int],
) -> tuple[jax.Array, Pairs]:
  """The input, padded if it is with other values than zeros, and the zeros to add.

  Args:
    x: (batch, *space, channels).
    padding: from `canonical`.
    kernel_size: one a spatial axis.
    strides: one a spatial axis.
    kernel_dilation: one a spatial axis.
    input_dilation: one a spatial axis.

  Returns:
    `x`, longer on its spatial axes where `padding` is "CIRCULAR" or "REFLECT", and
    (low, high) zeros for each spatial axis.

  Raises:
    UserError: if "SAME" padding meets an input dilation.
  """
  if not isinstance(padding, str):
    return x, padding
  extent = [(k - 1) * d + 1 for k, d in zip(kernel_size, kernel_dilation, strict=True)]
  none = ((0, 0),) * len(extent)
  if padding in _MODES:
    around = [(0, 0), *(((e - 1) // 2, e // 2) for e in extent), (0, 0)]
    return jnp.pad(x, around, mode=_MODES[padding]), none
  if padding == "VALID":
    return x, none
  if any(d != 1 for d in input_dilation):
    raise UserError(
      f"padding={padding!r} is not defined for input_dilation={tuple(input_dilation)}: "
      "give (low, high) pairs."
    )
  return x, tuple(lax.padtype_to_pads(x.shape[1:-1], extent, strides, padding))
