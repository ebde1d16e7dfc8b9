"""`EpitomeConv` and `EpitomeDense` as Flax NNX modules: a thin face of the same core.

Stored tensors are `nnx.Param`s. Offsets are variables of their own type, `Routing`, so
that `nnx.grad` and optimizers over `nnx.Param` leave them where they are; with
`indices.source="free"` they are `nnx.Param`s and learn. (The index learner and its
moving average are the Linen layers'.)
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from neural_epitome.epitome import layers, rounding, routing
from neural_epitome.epitome.convolution import Padding
from neural_epitome.epitome.generators import Dense, GeneratorSpec
from neural_epitome.epitome.geometry import Application
from neural_epitome.epitome.sampling import Array, Shape
from neural_epitome.errors import UserError

_DENSE, _LECUN = Dense(), nnx.initializers.lecun_normal()
_FIXED = routing.IndexOptions(source="fixed")


class Routing(nnx.Variable):
  """Where replicas start, in cells of the epitome."""


class _Generated(nnx.Module):
  """What both layers share."""

  def __init__(
    self,
    shape: Shape,
    application: Application,
    *,
    generator: GeneratorSpec = _DENSE,
    indices: routing.IndexOptions = _FIXED,
    bits: int = 32,
    execution: layers.Execution = "materialise",
    use_bias: bool = True,
    dtype: Any = None,
    kernel_init: Callable[..., Array] = _LECUN,
    bias_init: Callable[..., Array] = nnx.initializers.zeros,
    rngs: nnx.Rngs,
  ):
    if indices.source not in ("free", "fixed"):
      raise UserError(
        f"NNX layers have fixed or free indices; {indices.source} ones are Linen's."
      )
    generator.check(shape)
    self.shape, self.application, self.generator = shape, application, generator
    self.span = indices.span if indices.source == "free" else 1.0
    self.execution, self.dtype = execution, dtype
    roles = generator.tensors(shape)
    self.widths = {role: generator.tensor_bits(role) or bits for role in roles}
    offsets = routing.starting_offsets(
      indices, rngs.params(), generator.offsets(shape), generator.start_cells(shape)
    )
    kind = nnx.Param if indices.source == "free" else Routing
    self.offsets = nnx.data({k: kind(v / self.span) for k, v in offsets.items()})
    tensors = generator.init(rngs.params(), shape, offsets, kernel_init)
    self.tensors = nnx.data({k: nnx.Param(v) for k, v in tensors.items()})
    bias = bias_init(rngs.params(), (shape[-1],), jnp.float32) if use_bias else None
    self.bias = nnx.data(None if bias is None else nnx.Param(bias))

  def kernel(self) -> Array:
    """The full kernel, float32."""
    return self.generator.generate(*self._stored(), self.shape)

  def _stored(self) -> tuple[dict[str, Array], dict[str, Array]]:
    tensors = {role: tensor[...] for role, tensor in self.tensors.items()}
    return (
      rounding.rounded(tensors, self.widths),
      {axis: self.span * offset[...] for axis, offset in self.offsets.items()},
    )

  def __call__(self, x: Array) -> Array:
    """(batch, ..., channels) -> (batch, ..., features)."""
    x = x.astype(self.dtype or x.dtype)
    tensors, offsets = self._stored()
    y = layers.execute(
      x, self.generator, tensors, offsets, self.shape, self.application, self.execution
    )
    if self.bias is None:
      return y
    bias = self.bias[...].astype(y.dtype)
    return y + jax.lax.broadcast_in_dim(bias, y.shape, (y.ndim - 1,))


class EpitomeConv(_Generated):
  """A 1-D or 2-D convolution with a generated kernel.

  Args:
    in_features: input channels.
    features: output channels.
    window: kernel size, one number a spatial axis.
    strides: one number, or one a spatial axis.
    padding: (low, high) zeros a spatial axis, "SAME", "VALID", or None for
      (window - 1) // 2 * dilation on both sides.
    dilation: one number, or one a spatial axis.
    groups: feature groups.
    rngs: for `params`.
    **options: generator, indices (fixed or free), bits, execution, use_bias, dtype,
      kernel_init and bias_init, as of the Linen layers.
  """

  def __init__(
    self,
    in_features: int,
    features: int,
    window: Sequence[int],
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding | None = None,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    rngs: nnx.Rngs,
    **options: Any,
  ):
    application = Application.of_convolution(window, strides, padding, dilation, groups)
    shape = (*window, in_features // groups, features)
    super().__init__(shape, application, rngs=rngs, **options)


class EpitomeDense(_Generated):
  """A dense layer with a generated kernel.

  Args:
    in_features: inputs.
    features: outputs.
    rngs: for `params`.
    **options: as of `EpitomeConv`.
  """

  def __init__(
    self, in_features: int, features: int, *, rngs: nnx.Rngs, **options: Any
  ):
    super().__init__((in_features, features), Application(), rngs=rngs, **options)
