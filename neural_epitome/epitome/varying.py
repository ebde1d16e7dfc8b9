"""Arrays under `jax.shard_map` that a custom gradient rule takes together."""

import jax
from jax import lax


def alike(*arrays: jax.Array) -> list[jax.Array]:
  """Marks each array as varying over every mesh axis that one of them varies over."""
  axes = [_varying_axes(a) for a in arrays]
  union = frozenset().union(*axes)
  return [
    lax.pcast(a, tuple(sorted(union - own)), to="varying") if union - own else a
    for a, own in zip(arrays, axes, strict=True)
  ]


def _varying_axes(array: jax.Array) -> frozenset[str]:
  """The manual mesh axes an array varies over; JAX moved them between versions."""
  kind = jax.typeof(array)
  if hasattr(kind, "manual_axis_type"):
    return frozenset(kind.manual_axis_type.varying)
  return frozenset(getattr(kind, "vma", ()))
