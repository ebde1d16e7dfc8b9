"""How large the inputs of every layer are, on data: what makes a weight matter.

    importance = input_importance(lambda x: model.apply(variables, x), batches)
    rule = ne.ChannelEpitomeRule()
    small = ne.compress(params, "4x", rule=rule, importance=importance)

A kernel is fitted for what it makes of its inputs where the squared difference of each
input's weights counts as much as the mean square of that input: exactly so for inputs
that are uncorrelated and a layer that reads each once, nearly for others.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import core

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
  sums: dict[str, list[np.ndarray]] = {}

  def intercept(layer, args, kwargs, context):
    module = context.module
    if isinstance(module, _KINDS) and context.method_name == "__call__":
      inputs = args[0] if args else next(iter(kwargs.values()))
      if (squares := _mean_squares(module, inputs)) is not None:
        name = "/".join((*module.path, "kernel"))
        sums.setdefault(name, []).append(np.asarray(squares))
    return layer(*args, **kwargs)

  for batch in batches:
    with nn.intercept_methods(intercept):
      call(batch)
  if not sums:
    raise UserError(
      "No layer of the model was seen reading a batch: call a Linen model, outside "
      "jax.jit, on at least one batch."
    )
  importance = {name: np.mean(squares, 0) for name, squares in sums.items()}
  for name, squares in importance.items():
    if not np.all(np.isfinite(squares)):
      raise UserError(f"The layer of {name} reads infinite numbers or NaN.")
  return importance


def _mean_squares(module: nn.Module, inputs: Any) -> Any:
  """(Cin,) of one call; None where it cannot be known."""
  axes = _tuple(getattr(module, "axis", -1))
  is_last = [axis % np.ndim(inputs) for axis in axes] == [
    *range(np.ndim(inputs) - len(axes), np.ndim(inputs))
  ]
  if isinstance(inputs, core.Tracer) or not is_last:
    return None
  x = jnp.asarray(inputs, jnp.float32)
  x = x.reshape(-1, math.prod(x.shape[-len(axes) :]))
  groups = getattr(module, "feature_group_count", 1)
  return jnp.mean(jnp.mean(x**2, 0).reshape(groups, -1), 0)


def _tuple(value: int | Sequence[int]) -> tuple[int, ...]:
  return (value,) if isinstance(value, int) else tuple(value)
