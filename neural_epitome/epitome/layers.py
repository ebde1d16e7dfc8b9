"""Flax Linen layers whose kernels are generated: `EpitomeConv` and `EpitomeDense`.

They take the arguments of `flax.linen.Conv` and `flax.linen.Dense`, in their order and
with their defaults, so a layer is compressed by changing its class and adding a rate:

    nn.Conv(64, (3, 3), strides=2)
    EpitomeConv(64, (3, 3), strides=2, rate=4)

stores a quarter of the weights. The module `variables` lists what a layer keeps in
Flax's collections. All but the parameters is in the collection `routing`, which is made
mutable in training, as batch statistics are.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from flax.linen import dtypes

from neural_epitome.epitome import execution as executions
from neural_epitome.epitome import (
  geometry,
  rounding,
  routing,
  sources,
  stream,
  variables,
)
from neural_epitome.epitome import plan as plans
from neural_epitome.epitome.execution import Apply, Execution
from neural_epitome.epitome.generators import GeneratorSpec, Rule
from neural_epitome.epitome.geometry import Application, KernelUse
from neural_epitome.epitome.padding import Padding
from neural_epitome.epitome.sampling import Array, Shape
from neural_epitome.epitome.stream import Stream
from neural_epitome.errors import UserError

_LECUN, _ZEROS = nn.initializers.lecun_normal(), nn.initializers.zeros_init()


class GeneratedLayer(nn.Module, kw_only=True):
  """What `EpitomeConv` and `EpitomeDense` add to the layers of Flax.

  Attributes:
    rate: weights of the kernel over the numbers stored for it, at least 1. A kernel
      that is too small for the rate is compressed as far as the rule goes, and a
      depthwise kernel stays dense (see `rates.at_rate`). Without rate, rule and
      generator the layer is Flax's.
    rule: the family of generators; `EpitomeRule()` unless it is given.
    generator: in place of both, exactly how the kernel is generated, or the plan of the
      network that the layer is part of.
    indices: where sampling offsets come from in training.
    bits: of the tensors of a generator: 32, or 1 to 8, rounded wherever they are
      read, in training with a gradient that passes straight through; parameters stay
      float32, and so do factors. See `rounding`. Beside a plan, which has bits of its
      own, this must be 32.
    execution: `materialise` builds the kernel, and builds it again in the backward
      pass rather than keep it; `fold` computes with the epitome where that can be
      done and materialises elsewhere. A mapping chooses by the kernel's path.
    axis_name: mesh axis over which index learners average.
  """

  rate: float | None = None
  rule: Rule | None = None
  generator: GeneratorSpec | plans.Plan | None = None
  indices: routing.IndexOptions = routing.IndexOptions()
  bits: int = 32
  execution: Execution | Mapping[str, Execution] = "materialise"
  axis_name: str | None = None

  def _apply_kernel(
    self, x: Array | Stream, shape: Shape, application: Application | Apply
  ) -> Array | Stream:
    """The layer's output, bias included.

    Args:
      x: (batch, ..., channels).
      shape: of the full kernel.
      application: how it is applied to `x`.
    """
    if self.promote_dtype is not dtypes.promote_dtype:
      raise UserError(
        f"{type(self).__name__} takes no promote_dtype of its own: it may compute "
        "without a kernel. Say the computation's type by dtype=."
      )
    path = "/".join((*self.path, "kernel"))
    # Not by its path: a layer is the same wherever in a network it stands.
    use = KernelUse("kernel", shape, getattr(self, "feature_group_count", 1))
    source = sources.of_layer(self.generator, self.rate, self.rule, use)
    generator, names, widths = sources.layer_plan(source, path, shape, self.bits)
    offsets = variables.offsets(self, x, generator, shape, self.indices, self.axis_name)

    def init(key: Array) -> dict[str, Array]:
      return variables.initial(
        generator, key, shape, offsets, self.kernel_init, self.param_dtype
      )

    tensors = variables.tensors(self, names, init)
    bias = None
    if self.use_bias:
      bias = self.param("bias", self.bias_init, shape[-1:], self.param_dtype)
    like = jnp.zeros((), x.dtype) if isinstance(x, Stream) else x
    stored = (*tensors.values(), bias)
    x = x.astype(dtypes.canonicalize_dtype(like, *stored, dtype=self.dtype))
    tensors = rounding.rounded(tensors, widths)
    execution = self.execution
    if isinstance(execution, Mapping):
      execution = execution.get(path, "materialise")
    y = executions.execute(
      x, generator, tensors, offsets, shape, application, execution
    )
    if bias is None:
      return y
    y = stream.full(y)
    return y + bias.astype(y.dtype).reshape((1,) * (y.ndim - 1) + (-1,))


class EpitomeConv(GeneratedLayer):
  """A convolution with a generated kernel; `flax.linen.Conv` with a `rate`.

  Attributes:
    features: output channels.
    kernel_size: one number a spatial axis; a number alone is a 1-D convolution's.
    strides: one number, or one a spatial axis.
    padding: see `padding.canonical`.
    input_dilation: one number, or one a spatial axis.
    kernel_dilation: one number, or one a spatial axis.
    feature_group_count: groups of channels that are convolved apart.
    use_bias: adds a bias to the output channels.
    mask: multiplied with the full kernel, whose shape it has; the kernel is then
      always built.
    dtype: of the computation; None for that of input and parameters together.
    param_dtype: of the parameters.
    precision: of products, see `jax.lax.Precision`.
    kernel_init: distribution of the full kernel's entries.
    bias_init: of the bias.
    promote_dtype: Flax's; any other is refused.
    conv_general_dilated: called in place of `jax.lax.conv_general_dilated`.
    conv_general_dilated_cls: makes such a function.
    linear: whether nothing but batch norms, sums and layers read the output.
    streams: whether such an output may be a `stream.Stream`, a narrow activation that
      stands for repeated channels. It is one where the layer runs folded and its output
      channels repeat: in a network that is not trained any more.
  """

  features: int
  kernel_size: int | Sequence[int]
  strides: int | Sequence[int] | None = 1
  padding: Padding = "SAME"
  input_dilation: int | Sequence[int] | None = 1
  kernel_dilation: int | Sequence[int] | None = 1
  feature_group_count: int = 1
  use_bias: bool = True
  mask: Any = None
  dtype: Any = None
  param_dtype: Any = jnp.float32
  precision: Any = None
  kernel_init: Callable[..., Array] = _LECUN
  bias_init: Callable[..., Array] = _ZEROS
  promote_dtype: Callable[..., Any] = dtypes.promote_dtype
  conv_general_dilated: Callable[..., Array] | None = None
  conv_general_dilated_cls: Any = None
  linear: bool = dataclasses.field(default=False, kw_only=True)
  streams: bool = dataclasses.field(default=False, kw_only=True)

  def application(self) -> Application:
    """How the layer applies its kernel, with XLA's convolution.

    Raises:
      UserError: for arguments that make no convolution.
    """
    application = Application.of_convolution(
      self.kernel_size,
      self.strides,
      self.padding,
      self.kernel_dilation,
      self.feature_group_count,
      self.input_dilation,
      self.precision,
    )
    return dataclasses.replace(application, streams=self.linear and self.streams)

  @nn.compact
  def __call__(
    self, inputs: Array | Stream, apply: Apply | None = None
  ) -> Array | Stream:
    """Convolves with the layer's kernel.

    Args:
      inputs: (batch, *space, channels), or with no batch axis, or several.
      apply: of `inputs` and the full kernel, in place of the convolution that the
        attributes say.

    Returns:
      (batch, *output space, features), with the batch axes of `inputs`.

    Raises:
      UserError: for arguments that make no convolution of these inputs.
    """
    sizes = geometry.kernel_sizes(self.kernel_size)
    channels, groups = inputs.shape[-1], self.feature_group_count
    shape = geometry.kernel_shape(sizes, channels, self.features, groups)
    if apply is None:
      make = self.conv_general_dilated_cls
      function = self.conv_general_dilated if make is None else make()
      apply = dataclasses.replace(self.application(), function=function)
    if self.mask is not None:
      apply = executions.masked(apply, self.mask, shape)

    def convolved(x: Array | Stream) -> Array | Stream:
      return self._apply_kernel(x, shape, apply)

    return geometry.with_one_batch_axis(convolved, inputs, sizes)


class EpitomeDense(GeneratedLayer):
  """A dense layer with a generated kernel; `flax.linen.Dense` with a `rate`.

  Attributes:
    features: output features.
    use_bias: adds a bias to them.
    dtype: of the computation; None for that of input and parameters together.
    param_dtype: of the parameters.
    precision: of products, see `jax.lax.Precision`.
    kernel_init: distribution of the full kernel's entries.
    bias_init: of the bias.
    promote_dtype: Flax's; any other is refused.
    dot_general: called in place of `jax.lax.dot_general`.
    dot_general_cls: makes such a function.
  """

  features: int
  use_bias: bool = True
  dtype: Any = None
  param_dtype: Any = jnp.float32
  precision: Any = None
  kernel_init: Callable[..., Array] = _LECUN
  bias_init: Callable[..., Array] = _ZEROS
  promote_dtype: Callable[..., Any] = dtypes.promote_dtype
  dot_general: Callable[..., Array] | None = None
  dot_general_cls: Any = None

  @nn.compact
  def __call__(self, inputs: Array | Stream) -> Array:
    """Multiplies with the layer's kernel: (..., inputs) -> (..., features)."""
    make = self.dot_general_cls
    function = self.dot_general if make is None else make()
    application = Application(precision=self.precision, function=function)
    shape = (inputs.shape[-1], self.features)
    return stream.full(self._apply_kernel(inputs, shape, application))
