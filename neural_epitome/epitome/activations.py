"""What every layer reads, on data: what makes a weight matter.

    importance = input_importance(lambda x: model.apply(variables, x), batches)
    rule = ne.ChannelEpitomeRule()
    small = ne.compress(params, "4x", rule=rule, importance=importance)

A kernel is fitted for what it makes of its inputs where the squared difference of each
input's weights counts as much as the mean square of that input: exactly so for inputs
that are uncorrelated and a layer that reads each once, nearly for others. What the
products of inputs count besides is in their second moments:

    moments = input_moments(lambda x: model.apply(variables, x), batches)
    small = ne.compress(params, "25x", moments=moments)
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import core

from neural_epitome.epitome import columns, stream
from neural_epitome.epitome import padding as paddings
from neural_epitome.epitome.layers import EpitomeConv, EpitomeDense
from neural_epitome.errors import UserError

_KINDS = (nn.Conv, nn.Dense, nn.DenseGeneral, EpitomeConv, EpitomeDense)


def input_importance(
  call: Callable[[Any], Any], batches: Iterable[Any]
) -> dict[str, np.ndarray]:
  """The mean square of each input of every layer of a Linen model.

  Args:
    call: runs the model on a batch, outside `jax.jit`; layers that are called inside of
      it, of `nn.scan` and the like, are not seen.
    batches: what it is called with.

  Returns:
    (Cin,) float32 for each convolution and dense layer, by the name of its kernel: the
    mean over the groups where there are several, and over all calls of a layer that is
    called more than once. A `DenseGeneral` that reads other axes than the last ones is
    left out.

  Raises:
    UserError: if no layer was seen, or one that reads what is not finite.
  """
  squares: dict[str, list[np.ndarray]] = {}

  def add(name: str, module: nn.Module, inputs: Any) -> None:
    squares.setdefault(name, []).append(np.asarray(_mean_squares(module, inputs)))

  _watched(call, batches, add)
  return _finite({name: np.mean(parts, 0) for name, parts in squares.items()})


def input_moments(
  call: Callable[[Any], Any], batches: Iterable[Any]
) -> dict[str, np.ndarray]:
  """The second moments of what each output of every layer of a Linen model reads.

  Args:
    call: as of `input_importance`.
    batches: what it is called with; some hundred examples in all are enough. Of the
      places in a batch at which a convolution reads, some thousands are drawn.

  Returns:
    (K, K) float32 for each convolution and dense layer, by the name of its kernel, with
    K = taps * Cin in the kernel's order: the mean of x x^T over the columns x that are
    read, over the groups where there are several, and over all calls. Of few columns
    for many inputs, what inputs have in common is shrunk. Layers as of
    `input_importance`, but for those with K above 8,192.

  Raises:
    UserError: as `input_importance`.
  """
  moments: dict[str, columns.Moments] = {}

  def add(name: str, module: nn.Module, inputs: Any) -> None:
    rows = _rows_read(module, np.asarray(stream.full(inputs), np.float32))
    if rows.shape[1] <= columns.MOST_INPUTS:
      moments.setdefault(name, columns.Moments()).add(rows)

  _watched(call, batches, add)
  return _finite({name: one.mean() for name, one in moments.items()})


def _watched(
  call: Callable[[Any], Any],
  batches: Iterable[Any],
  add: Callable[[str, nn.Module, Any], None],
) -> None:
  """Tells of each layer what it reads: its kernel's name, itself and its input."""
  seen = False

  def intercept(layer, args, kwargs, context):
    nonlocal seen
    module = context.module
    if isinstance(module, _KINDS) and context.method_name == "__call__":
      inputs = args[0] if args else next(iter(kwargs.values()))
      if _is_known(module, inputs):
        seen = True
        add("/".join((*module.path, "kernel")), module, inputs)
    return layer(*args, **kwargs)

  for batch in batches:
    with nn.intercept_methods(intercept):
      call(batch)
  if not seen:
    raise UserError(
      "No layer of the model was seen reading a batch: call a Linen model, outside "
      "jax.jit, on at least one batch."
    )


def _finite(means: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  for name, mean in means.items():
    if not np.all(np.isfinite(mean)):
      raise UserError(f"The layer of {name} reads infinite numbers or NaN.")
  return means


def _mean_squares(module: nn.Module, inputs: Any) -> Any:
  """(Cin,) of one call."""
  axes = _tuple(getattr(module, "axis", -1))
  x = jnp.asarray(inputs, jnp.float32)
  x = x.reshape(-1, math.prod(x.shape[-len(axes) :]))
  groups = getattr(module, "feature_group_count", 1)
  return jnp.mean(jnp.mean(x**2, 0).reshape(groups, -1), 0)


def _rows_read(module: Any, x: np.ndarray) -> np.ndarray:
  """Some of what a layer reads for its outputs, (rows, K)."""
  if not hasattr(module, "kernel_size"):
    axes = _tuple(getattr(module, "axis", -1))
    rows = x.reshape(-1, math.prod(x.shape[-len(axes) :]))
    return rows[columns.drawn(len(rows))]
  size = _tuple(module.kernel_size)

  def each(name: str) -> tuple[int, ...]:
    value = getattr(module, name)
    return _tuple(value) if isinstance(value, Sequence) else (value or 1,) * len(size)

  dilation = each("kernel_dilation")
  return columns.of_convolution(
    x.reshape(-1, *x.shape[-len(size) - 1 :]),
    kernel_size=size,
    strides=each("strides"),
    padding=paddings.canonical(module.padding, size, dilation),
    kernel_dilation=dilation,
    input_dilation=each("input_dilation"),
    groups=module.feature_group_count,
  )


def _is_known(module: nn.Module, inputs: Any) -> bool:
  """Whether the numbers are there, and the last axes are read."""
  axes = _tuple(getattr(module, "axis", -1))
  is_last = [axis % np.ndim(inputs) for axis in axes] == [
    *range(np.ndim(inputs) - len(axes), np.ndim(inputs))
  ]
  return is_last and not isinstance(inputs, core.Tracer)


def _tuple(value: int | Sequence[int]) -> tuple[int, ...]:
  return (value,) if isinstance(value, int) else tuple(value)
