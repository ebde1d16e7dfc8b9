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
from jax import core, lax

from neural_epitome.epitome import padding as paddings
from neural_epitome.epitome import stream
from neural_epitome.epitome.layers import EpitomeConv, EpitomeDense
from neural_epitome.errors import UserError

# Of what a layer reads in a call, in which second moments are measured.
_MOST_ROWS = 8192
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
  return _means(call, batches, _mean_squares)


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
    read, over the groups where there are several, and over all calls. Layers as of
    `input_importance`.

  Raises:
    UserError: as `input_importance`.
  """
  return _means(call, batches, _second_moments)


def _means(
  call: Callable[[Any], Any],
  batches: Iterable[Any],
  measure: Callable[[nn.Module, Any], Any],
) -> dict[str, np.ndarray]:
  """Of what is measured of each layer's input, over all its calls."""
  sums: dict[str, np.ndarray] = {}
  calls: dict[str, int] = {}

  def intercept(layer, args, kwargs, context):
    module = context.module
    if isinstance(module, _KINDS) and context.method_name == "__call__":
      inputs = args[0] if args else next(iter(kwargs.values()))
      if (measured := measure(module, inputs)) is not None:
        name = "/".join((*module.path, "kernel"))
        calls[name] = calls.get(name, 0) + 1
        sums[name] = sums.get(name, np.float32(0)) + np.asarray(measured)
    return layer(*args, **kwargs)

  for batch in batches:
    with nn.intercept_methods(intercept):
      call(batch)
  if not sums:
    raise UserError(
      "No layer of the model was seen reading a batch: call a Linen model, outside "
      "jax.jit, on at least one batch."
    )
  means = {name: total / np.float32(calls[name]) for name, total in sums.items()}
  for name, mean in means.items():
    if not np.all(np.isfinite(mean)):
      raise UserError(f"The layer of {name} reads infinite numbers or NaN.")
  return means


def _mean_squares(module: nn.Module, inputs: Any) -> Any:
  """(Cin,) of one call; None where it cannot be known."""
  if not _is_known(module, inputs):
    return None
  axes = _tuple(getattr(module, "axis", -1))
  x = jnp.asarray(inputs, jnp.float32)
  x = x.reshape(-1, math.prod(x.shape[-len(axes) :]))
  groups = getattr(module, "feature_group_count", 1)
  return jnp.mean(jnp.mean(x**2, 0).reshape(groups, -1), 0)


def _second_moments(module: nn.Module, inputs: Any) -> Any:
  """(K, K) of one call; None where it cannot be known."""
  if not _is_known(module, inputs):
    return None
  x = np.asarray(stream.full(inputs), np.float32)
  if hasattr(module, "kernel_size"):
    rows = _columns_read(module, x)
  else:
    axes = _tuple(getattr(module, "axis", -1))
    rows = x.reshape(-1, math.prod(x.shape[-len(axes) :]))
    rows = rows[_drawn(len(rows))]
  return rows.T @ rows / np.float32(len(rows))


def _columns_read(module: Any, x: np.ndarray) -> np.ndarray:
  """Some of what a convolution reads for an output, (columns, taps * Cin)."""
  size = _tuple(module.kernel_size)

  def each(name: str) -> tuple[int, ...]:
    value = getattr(module, name)
    return _tuple(value) if isinstance(value, Sequence) else (value or 1,) * len(size)

  strides, kernel_dilation = each("strides"), each("kernel_dilation")
  input_dilation, groups = each("input_dilation"), module.feature_group_count
  x = x.reshape(-1, *x.shape[-len(size) - 1 :])
  padded, zeros = paddings.resolve(
    jnp.asarray(x),
    paddings.canonical(module.padding, size, kernel_dilation),
    kernel_size=size,
    strides=strides,
    kernel_dilation=kernel_dilation,
    input_dilation=input_dilation,
  )
  inner = [
    (low, high, d - 1) for (low, high), d in zip(zeros, input_dilation, strict=True)
  ]
  around = [(0, 0, 0), *inner, (0, 0, 0)]
  x = np.asarray(lax.pad(padded, jnp.float32(0), around))
  extents = [(k - 1) * d + 1 for k, d in zip(size, kernel_dilation, strict=True)]
  outputs = [
    (n - extent) // stride + 1
    for n, extent, stride in zip(x.shape[1:-1], extents, strides, strict=True)
  ]
  total = len(x) * math.prod(outputs)
  batch, *at = np.unravel_index(_drawn(total), (len(x), *outputs))
  columns = []
  for tap in np.ndindex(*size):
    places = [
      a * s + t * d
      for a, s, t, d in zip(at, strides, tap, kernel_dilation, strict=True)
    ]
    read = x[(batch, *places)]
    columns.append(read.reshape(len(read) * groups, -1))
  return np.concatenate(columns, 1)


def _drawn(count: int) -> np.ndarray:
  """Which of so many rows are taken: all, if they are few."""
  if count <= _MOST_ROWS:
    return np.arange(count)
  return np.random.default_rng(0).choice(count, _MOST_ROWS, replace=False)


def _is_known(module: nn.Module, inputs: Any) -> bool:
  """Whether the numbers are there, and the last axes are read."""
  axes = _tuple(getattr(module, "axis", -1))
  is_last = [axis % np.ndim(inputs) for axis in axes] == [
    *range(np.ndim(inputs) - len(axes), np.ndim(inputs))
  ]
  return is_last and not isinstance(inputs, core.Tracer)


def _tuple(value: int | Sequence[int]) -> tuple[int, ...]:
  return (value,) if isinstance(value, int) else tuple(value)
