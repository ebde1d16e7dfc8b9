"""`EpitomeConv` and `EpitomeLinear`: the generated layers as Flax NNX modules.

They take the arguments of `flax.nnx.Conv` and `flax.nnx.Linear`, in their order and
with their defaults, and a `rate`. Stored tensors are `nnx.Param`s. Offsets are
variables of their own type, `Routing`, so that `nnx.grad` and optimizers over
`nnx.Param` leave them where they are; with `indices.source="free"` they are
`nnx.Param`s and learn. (The index learner and its moving average are the Linen
layers'.)
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn import dtypes
from jax import lax

from neural_epitome.epitome import execution as executions
from neural_epitome.epitome import geometry, rounding, routing, sources, variables
from neural_epitome.epitome.execution import Execution
from neural_epitome.epitome.generators import GeneratorSpec, Rule
from neural_epitome.epitome.geometry import Application, KernelUse
from neural_epitome.epitome.padding import Padding
from neural_epitome.epitome.plan import Plan
from neural_epitome.epitome.sampling import Array, Shape
from neural_epitome.epitome.stream import Stream
from neural_epitome.errors import UserError

_LECUN, _ZEROS = nnx.initializers.lecun_normal(), nnx.initializers.zeros_init()
_FIXED = routing.IndexOptions(source="fixed")
_NONE: Mapping[str, Any] = MappingProxyType({})


class Routing(nnx.Variable):
  """Where replicas start, in cells of the epitome."""


class GeneratedLayer(nnx.Module):
  """The base of `EpitomeConv` and `EpitomeLinear`: a kernel and how it is stored.

  Args:
    shape: of the full kernel.
    feature_group_count: groups of channels that are convolved apart.
    rate: weights of the kernel over the numbers stored for it, at least 1; see
      `layers.GeneratedLayer`, as for `rule`, `bits` and `execution`.
    rule: the family of generators; `EpitomeRule()` unless it is given.
    generator: in place of both, exactly how the kernel is generated.
    indices: how offsets start, and whether they are fixed or free (parameters).
    bits: of the stored tensors as they are read.
    execution: `materialise` or `fold`.
    use_bias: adds a bias to the output channels.
    dtype: of the computation; None for that of input and parameters together.
    param_dtype: of the parameters.
    kernel_init: distribution of the full kernel's entries.
    bias_init: of the bias.
    promote_dtype: Flax's; any other is refused.
    rngs: for `params`.
    kernel_metadata: of the stored tensors that have as many axes as the kernel.
    bias_metadata: of the bias.

  Raises:
    UserError: for a plan, which names the layers of a Linen network; for indices that
      are neither fixed nor free; if the generator does not fit the kernel.
  """

  def __init__(
    self,
    shape: Shape,
    feature_group_count: int,
    *,
    rate: float | None = None,
    rule: Rule | None = None,
    generator: GeneratorSpec | None = None,
    indices: routing.IndexOptions = _FIXED,
    bits: int = 32,
    execution: Execution = "materialise",
    use_bias: bool = True,
    dtype: Any = None,
    param_dtype: Any = jnp.float32,
    kernel_init: Callable[..., Array] = _LECUN,
    bias_init: Callable[..., Array] = _ZEROS,
    promote_dtype: Callable[..., Any] = dtypes.promote_dtype,
    rngs: nnx.Rngs,
    kernel_metadata: Mapping[str, Any] = _NONE,
    bias_metadata: Mapping[str, Any] = _NONE,
  ):
    if indices.source not in ("free", "fixed"):
      raise UserError(
        f"NNX layers have fixed or free indices; {indices.source} ones are Linen's."
      )
    if promote_dtype is not dtypes.promote_dtype:
      raise UserError(
        f"{type(self).__name__} takes no promote_dtype of its own: it may compute "
        "without a kernel. Say the computation's type by dtype=."
      )
    use = KernelUse("kernel", shape, feature_group_count)
    source = sources.of_layer(generator, rate, rule, use)
    if isinstance(source, Plan):
      raise UserError(
        "A plan names the kernels of a Linen network; give an NNX layer one generator."
      )
    source.check(shape)
    self.shape, self.generator = shape, source
    self.span = indices.span if indices.source == "free" else 1.0
    self.execution: Execution = execution
    self.dtype = dtype
    roles = source.tensors(shape)
    self.widths = {role: source.tensor_bits(role) or bits for role in roles}
    offsets: dict[str, Array] = {}
    # No key where there is nothing to draw: a dense layer then starts as Flax's does.
    if shapes := source.offsets(shape):
      cells = source.start_cells(shape)
      offsets = routing.starting_offsets(indices, rngs.params(), shapes, cells)
    kind = nnx.Param if indices.source == "free" else Routing
    self.offsets = nnx.data({k: kind(v / self.span) for k, v in offsets.items()})

    key = rngs.params()
    drawn = variables.initial(source, key, shape, offsets, kernel_init, param_dtype)

    def stored(tensor: Array) -> nnx.Param:
      metadata = kernel_metadata if tensor.ndim == len(shape) else _NONE
      return nnx.Param(tensor, **metadata)

    self.tensors = nnx.data({role: stored(tensor) for role, tensor in drawn.items()})
    bias = None
    if use_bias:
      value = bias_init(rngs.params(), shape[-1:], param_dtype)
      bias = nnx.Param(value, **bias_metadata)
    self.bias = nnx.data(bias)

  def kernel(self) -> Array:
    """The full kernel, of the parameters' dtype."""
    return self.generator.generate(*self._stored(), self.shape)

  def _stored(self) -> tuple[Mapping[str, Array], Mapping[str, Array]]:
    tensors = {role: tensor[...] for role, tensor in self.tensors.items()}
    return (
      rounding.rounded(tensors, self.widths),
      {axis: self.span * offset[...] for axis, offset in self.offsets.items()},
    )

  def _apply_kernel(
    self, x: Array, application: Application | executions.Apply
  ) -> Array:
    """The layer's output from (batch, ..., channels), bias included."""
    tensors, offsets = self._stored()
    bias = None if self.bias is None else self.bias[...]
    operands = (x, *tensors.values(), bias)
    x = x.astype(dtypes.canonicalize_dtype(*operands, dtype=self.dtype))
    y = executions.execute(
      x, self.generator, tensors, offsets, self.shape, application, self.execution
    )
    assert not isinstance(y, Stream), "only networks that run carry one"
    if bias is None:
      return y
    return y + lax.broadcast_in_dim(bias.astype(y.dtype), y.shape, (y.ndim - 1,))


class EpitomeConv(GeneratedLayer):
  """A convolution with a generated kernel; `flax.nnx.Conv` with a `rate`.

  Args:
    in_features: input channels.
    out_features: output channels.
    kernel_size: one number a spatial axis; a number alone is a 1-D convolution's.
    strides: one number, or one a spatial axis.
    padding: see `padding.canonical`.
    input_dilation: one number, or one a spatial axis.
    kernel_dilation: one number, or one a spatial axis.
    feature_group_count: groups of channels that are convolved apart.
    mask: multiplied with the full kernel, whose shape it has; the kernel is then
      always built.
    precision: of products, see `jax.lax.Precision`.
    conv_general_dilated: called in place of `jax.lax.conv_general_dilated`.
    preferred_element_type: of the convolution's output.
    rngs: for `params`.
    **options: of `GeneratedLayer`.
  """

  def __init__(
    self,
    in_features: int,
    out_features: int,
    kernel_size: int | Sequence[int],
    strides: int | Sequence[int] | None = 1,
    *,
    padding: Padding = "SAME",
    input_dilation: int | Sequence[int] | None = 1,
    kernel_dilation: int | Sequence[int] | None = 1,
    feature_group_count: int = 1,
    mask: Any = None,
    precision: Any = None,
    conv_general_dilated: Callable[..., Array] = lax.conv_general_dilated,
    preferred_element_type: Any = None,
    rngs: nnx.Rngs,
    **options: Any,
  ):
    sizes = geometry.kernel_sizes(kernel_size)
    shape = geometry.kernel_shape(sizes, in_features, out_features, feature_group_count)
    self.application = Application.of_convolution(
      sizes,
      strides,
      padding,
      kernel_dilation,
      feature_group_count,
      input_dilation,
      precision,
      _given(conv_general_dilated, lax.conv_general_dilated, preferred_element_type),
    )
    self.in_features, self.out_features = in_features, out_features
    self.kernel_size, self.mask = sizes, mask
    super().__init__(shape, feature_group_count, rngs=rngs, **options)

  def __call__(self, inputs: Array, out_sharding: Any = None) -> Array:
    """Convolves with the layer's kernel.

    Args:
      inputs: (batch, *space, in_features), or with no batch axis, or several.
      out_sharding: None; a sharding is refused.

    Returns:
      (batch, *output space, out_features), with the batch axes of `inputs`.
    """
    _refuse(out_sharding)
    apply: executions.Apply = self.application
    if self.mask is not None:
      apply = executions.masked(apply, self.mask, self.shape)

    def convolved(x: Array) -> Array:
      return self._apply_kernel(x, apply)

    return geometry.with_one_batch_axis(convolved, inputs, self.kernel_size)


class EpitomeLinear(GeneratedLayer):
  """A dense layer with a generated kernel; `flax.nnx.Linear` with a `rate`.

  Args:
    in_features: inputs.
    out_features: outputs.
    precision: of products, see `jax.lax.Precision`.
    dot_general: called in place of `jax.lax.dot_general`.
    preferred_element_type: of the product's output.
    rngs: for `params`.
    **options: of `GeneratedLayer`.
  """

  def __init__(
    self,
    in_features: int,
    out_features: int,
    *,
    precision: Any = None,
    dot_general: Callable[..., Array] = lax.dot_general,
    preferred_element_type: Any = None,
    rngs: nnx.Rngs,
    **options: Any,
  ):
    function = _given(dot_general, lax.dot_general, preferred_element_type)
    self.application = Application(precision=precision, function=function)
    self.in_features, self.out_features = in_features, out_features
    super().__init__((in_features, out_features), 1, rngs=rngs, **options)

  def __call__(self, inputs: Array, out_sharding: Any = None) -> Array:
    """(..., in_features) -> (..., out_features); `out_sharding` must be None."""
    _refuse(out_sharding)
    return self._apply_kernel(inputs, self.application)


def _given(
  function: Callable[..., Array],
  usual: Callable[..., Array],
  preferred_element_type: Any,
) -> Callable[..., Array] | None:
  """What is called in place of the usual function; None where nothing is."""
  if preferred_element_type is not None:
    return functools.partial(function, preferred_element_type=preferred_element_type)
  return None if function is usual else function


def _refuse(out_sharding: Any) -> None:
  if out_sharding is not None:
    raise UserError(
      f"out_sharding={out_sharding} is not taken by generated layers; constrain their "
      "output with jax.lax.with_sharding_constraint."
    )
