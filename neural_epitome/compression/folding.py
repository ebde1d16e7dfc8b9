"""Flax's own layers, run from what their kernels are generated from.

`nn.intercept_methods` shows every call of a layer. One whose kernel is an array that
was generated here, that very array, has its output computed by `GeneratorSpec.fold`
instead; the small kernels that this takes are applied by a copy of the layer, so that
padding, dilation, precision and all else are the layer's. Whatever is not recognised
reads the generated kernel, which is always there: `jax.jit` drops those that nobody
reads from its program.

Paths would not do to recognise a kernel: under `nn.scan` and `nn.vmap` one path stands
for slices of a kernel, and another model may have the same ones.
"""

import contextlib
import dataclasses
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, get_args

import jax.numpy as jnp
from flax import linen as nn
from flax.linen import dtypes

from neural_epitome import codec
from neural_epitome.epitome import stream
from neural_epitome.epitome.execution import Execution
from neural_epitome.epitome.generators import Dense
from neural_epitome.epitome.generators.base import Tensors
from neural_epitome.epitome.geometry import Application
from neural_epitome.epitome.plan import KernelPlan
from neural_epitome.epitome.sampling import Array, Offsets
from neural_epitome.errors import UserError

_KINDS = (nn.Conv, nn.Dense, nn.DenseGeneral)
# What a subclass must have left alone to compute what its parent does.
_METHODS = ("__call__", "param", "setup")
# Fields that change the kernel, or the product with it, in ways that only they know.
_CUSTOM = (
  "mask",
  "conv_general_dilated",
  "conv_general_dilated_cls",
  "dot_general",
  "dot_general_cls",
)
_UNMET = "built: no layer was called with it, outside jax.jit, nn.scan and the like"


@dataclasses.dataclass(frozen=True)
class Generated:
  """A kernel, and what it was generated from.

  Attributes:
    path: its name in the plan.
    value: as a tree of parameters holds it.
    plan: how it comes out of the tensors.
    tensors: by role.
    offsets: by axis.
  """

  path: str
  value: Array
  plan: KernelPlan
  tensors: Tensors
  offsets: Offsets


@contextlib.contextmanager
def folded(
  kernels: Mapping[str, Generated], execution: Execution | Mapping[str, Execution]
) -> Iterator[dict[str, str]]:
  """Layers called inside are folded where their kernel is one of these and folds.

  Args:
    kernels: all of the plan, by path.
    execution: `fold`, or a mapping that chooses by the kernel's path; `materialise`
      for those that it does not name.

  Yields:
    What became of every compressed kernel so far, by path: `folded`, or `built: ` and
    why.

  Raises:
    UserError: if a path is no kernel's; at the end, if no layer was called with a
      kernel that is to be folded.
  """
  chosen: Mapping[str, Execution]
  if isinstance(execution, Mapping):
    chosen = execution
  else:
    chosen = {path: execution for path in kernels}
  _check(chosen, kernels)
  stored = {p: k for p, k in kernels.items() if not isinstance(k.plan.generator, Dense)}
  chosen_paths = [path for path in stored if chosen.get(path) == "fold"]
  outcomes = dict.fromkeys(stored, "built: as chosen") | dict.fromkeys(
    chosen_paths, _UNMET
  )
  # `kernels` keeps the arrays, so that no other one can have their identities.
  met = {id(kernels[path].value): kernels[path] for path in chosen_paths}

  def intercept(call, args, kwargs, context):
    kernel = met.get(id(_weights(context)))
    if kernel is None:
      return call(*args, **kwargs)
    y = None
    why = _obstacle(context.module)
    if not why:
      y = _fold(context.module, kernel, *args, **kwargs)
      why = f"{kernel.plan.generator.kind} does not fold there"
    _tell(outcomes, kernel.path, f"built: {why}" if y is None else "folded")
    return call(*args, **kwargs) if y is None else y

  with nn.intercept_methods(intercept):
    yield outcomes
  if chosen_paths and all(outcomes[path] == _UNMET for path in chosen_paths):
    raise UserError(
      "No layer of Flax was called with a kernel of the tree that folding(...) gave: "
      "call the model inside the block, and jax.jit or jax.grad around all of it."
    )


def _check(chosen: Mapping[str, Execution], kernels: Collection[str]) -> None:
  for path, choice in chosen.items():
    if path not in kernels:
      known = codec.nearest(path, kernels)
      raise UserError(f"The execution names {path!r}, which is no kernel.{known}")
    if choice not in get_args(Execution):
      choices = " or ".join(map(repr, get_args(Execution)))
      raise UserError(f"The execution of {path} is {choice!r} and must be {choices}.")


def _tell(outcomes: dict[str, str], path: str, outcome: str) -> None:
  """Two layers may read one kernel."""
  before = outcomes[path]
  if before == _UNMET:
    outcomes[path] = outcome
  elif outcome not in before.split("; "):
    outcomes[path] = f"{before}; {outcome}"


def _weights(context: nn.module.InterceptorContext) -> Array | None:
  """The kernel that a layer is about to read, if it is a layer being called."""
  module = context.module
  if context.method_name != "__call__" or module.scope is None:
    return None
  for name in ("kernel", "embedding"):
    if module.has_variable("params", name):
      return nn.unbox(module.get_variable("params", name))
  return None


def _obstacle(module: nn.Module) -> str:
  """Why a layer cannot be folded whatever its generator; empty where it may be."""
  cls = type(module)
  if not any(
    issubclass(cls, kind) and all(getattr(cls, m) is getattr(kind, m) for m in _METHODS)
    for kind in _KINDS
  ):
    return f"{cls.__name__} is not {', '.join(kind.__name__ for kind in _KINDS)}"
  custom = [name for name in _CUSTOM if getattr(module, name, None) is not None]
  if module.promote_dtype is not dtypes.promote_dtype:
    custom.append("promote_dtype")
  return f"{cls.__name__} has its own {', '.join(custom)}" if custom else ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _ByLayer(Application):
  """A kernel applied by a copy of the layer with as many features as it has.

  Strides, padding and dilation are the layer's and are not told: a generator that does
  more than apply kernels does not fold.
  """

  layer: nn.Module

  def __call__(self, x: Array, kernel: Array) -> Array:
    """Applies `kernel` to `x`, channels last; both of the same dtype."""
    fields = {"features": kernel.shape[-1], "use_bias": False, "dtype": x.dtype}
    if isinstance(self.layer, nn.DenseGeneral):
      fields["axis"] = -1
    # The layer's own may be of one shape only, and is not called.
    fields["kernel_init"] = nn.initializers.zeros
    layer = self.layer.clone(parent=None, name=None, **fields)
    y: Any = layer.apply({"params": {"kernel": kernel}}, x)
    return y


def _fold(module: nn.Module, kernel: Generated, inputs: Array) -> Array | None:
  """The layer's output, bias included; None if its kernel has to be built."""
  x = jnp.asarray(inputs)
  axes = _tuple(getattr(module, "axis", -1))
  are_last = [axis % x.ndim for axis in axes] == [*range(x.ndim - len(axes), x.ndim)]
  if getattr(module, "batch_dims", ()) or not are_last:
    return None
  kernel_size = _tuple(getattr(module, "kernel_size", ()))
  groups = getattr(module, "feature_group_count", 1)
  before, read = x.shape[: -len(axes)], x.shape[-len(axes) :]
  inner = (read[0] // groups,) if groups > 1 else read
  features = _tuple(module.features)
  shape = (*kernel_size, math.prod(inner), math.prod(features))
  # The layer itself says best what is wrong with an input.
  if (
    kernel.value.shape != (*kernel_size, *inner, *features)
    or kernel.plan.shape != shape
  ):
    return None
  bias = nn.unbox(module.get_variable("params", "bias")) if module.use_bias else None
  dtype = dtypes.canonicalize_dtype(x, kernel.value, bias, dtype=module.dtype)
  y = kernel.plan.generator.fold(
    x.astype(dtype).reshape(*before, math.prod(read)),
    kernel.tensors,
    kernel.offsets,
    shape,
    _ByLayer(feature_group_count=groups, layer=module),
  )
  if y is None:
    return None
  y = stream.full(y)
  y = y.reshape(*y.shape[:-1], *features)
  if bias is None:
    return y
  return y + bias.astype(dtype).reshape((1,) * (y.ndim - bias.ndim) + bias.shape)


def _tuple(value: int | Sequence[int]) -> tuple[int, ...]:
  return (value,) if isinstance(value, int) else tuple(value)
