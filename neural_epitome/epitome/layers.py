"""Flax Linen layers whose kernels are generated: `EpitomeConv` and `EpitomeDense`.

Drop-in for `nn.Conv` and `nn.Dense`. Only stored tensors are parameters (and, for
free or learned indices, what the offsets come from); the routing map is a variable
collection of its own, `routing`, updated in a forward pass that makes it mutable
and read in every other.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.epitome import plan as plans
from neural_epitome.epitome import rounding, routing, stream
from neural_epitome.epitome.convolution import Padding
from neural_epitome.epitome.generators import Dense, GeneratorSpec
from neural_epitome.epitome.geometry import Application
from neural_epitome.epitome.sampling import Array, Offsets, Shape
from neural_epitome.epitome.stream import Stream

Execution = Literal["materialise", "fold"]


def execute(
  x: Array | Stream,
  generator: GeneratorSpec,
  tensors: Offsets,
  offsets: Offsets,
  shape: Shape,
  application: Application,
  execution: Execution,
) -> Array | Stream:
  """A layer's output without bias, its kernel built or not.

  Args:
    x: input, channels last.
    generator: of the kernel.
    tensors: stored tensors, by role.
    offsets: routing map, by axis.
    shape: of the full kernel.
    application: how a kernel is applied to `x`.
    execution: see `GeneratedLayer`.
  """
  if execution != "fold" or not generator.reads_streams:
    x = stream.full(x)
  if execution == "fold":
    y = generator.fold(x, tensors, offsets, shape, application)
    if y is not None:
      return y

  def materialised(x: Array, tensors: Offsets, offsets: Offsets) -> Array:
    kernel = generator.generate(tensors, offsets, shape)
    return application(x, kernel.astype(x.dtype))

  # Rematerialised: the backward pass keeps the epitome, not the kernel.
  x, is_stored = stream.full(x), isinstance(generator, Dense)
  run = materialised if is_stored else jax.checkpoint(materialised)
  return run(x, tensors, offsets)


class GeneratedLayer(nn.Module, kw_only=True):
  """What both layers share.

  Attributes:
    generator: of this layer's kernel, or the plan of the whole network.
    indices: where sampling offsets come from in training.
    bits: of the tensors of a generator: 32, or 2 to 8, rounded wherever they are
      read, in training with a gradient that passes straight through; parameters stay
      float32, and so do factors. See `rounding`. A plan says it itself.
    execution: `materialise` builds the kernel, and builds it again in the backward
      pass rather than keep it; `fold` convolves with the epitome where that can be
      done and materialises elsewhere. A mapping chooses by the kernel's path.
    use_bias: adds a bias to the output channels.
    dtype: of the computation; None is that of the input. Parameters are float32.
    axis_name: mesh axis over which index learners average.
    kernel_init: distribution of the full kernel's entries.
    bias_init: of the bias.
  """

  generator: GeneratorSpec | plans.Plan = Dense()
  indices: routing.IndexOptions = routing.IndexOptions()
  bits: int = 32
  execution: Execution | Mapping[str, Execution] = "materialise"
  use_bias: bool = True
  dtype: Any = None
  axis_name: str | None = None
  kernel_init: Callable[..., Array] = nn.initializers.lecun_normal()
  bias_init: Callable[..., Array] = nn.initializers.zeros

  def _apply_kernel(
    self, x: Array | Stream, shape: Shape, application: Application
  ) -> Array | Stream:
    """The layer's output from x (batch, ..., channels), bias included."""
    path = "/".join((*self.path, "kernel"))
    generator, names, widths = plans.layer_plan(self.generator, path, shape, self.bits)
    offsets = self._offsets(x, generator, shape)
    tensors = {
      role: self._tensor(name, role, generator, shape, offsets)
      for role, name in names.items()
    }
    tensors = rounding.rounded(tensors, widths)
    x = x.astype(self.dtype or x.dtype)
    execution = self.execution
    if isinstance(execution, Mapping):
      execution = execution.get(path, "materialise")
    y = execute(x, generator, tensors, offsets, shape, application, execution)
    if self.use_bias:
      bias = self.param("bias", self.bias_init, (shape[-1],), jnp.float32)
      y = stream.full(y)
      y = y + bias.astype(y.dtype).reshape((1,) * (y.ndim - 1) + (-1,))
    return y

  def _tensor(
    self,
    name: str,
    role: str,
    generator: GeneratorSpec,
    shape: Shape,
    offsets: Offsets,
  ) -> Array:
    """A stored tensor: this layer's own, or one shared at the top of the tree."""

    def init(key: Array) -> Array:
      return generator.init(key, shape, offsets, self.kernel_init)[role]

    if name == "/".join((*self.path, role)):
      return self.param(role, init)
    root = self.scope.root
    if not root.has_variable("params", name):
      root.put_variable("params", name, init(self.make_rng("params")))
    return root.get_variable("params", name)

  def _offsets(
    self, x: Array | Stream, generator: GeneratorSpec, shape: Shape
  ) -> dict[str, Array]:
    """Offsets to sample with, and one step of the routing map that follows them."""
    shapes = generator.offsets(shape)
    if not shapes:
      return {}
    options = self.indices

    def start() -> Array:
      return routing.flatten(
        routing.starting_offsets(
          options, self.make_rng("params"), shapes, generator.start_cells(shape)
        )
      )

    count = sum(map(math.prod, shapes.values()))
    initial = start() if self.is_initializing() else jnp.zeros(count)
    is_training = self.is_mutable_collection("routing")
    # Every source starts at the same offsets: a learner's last layer is zero.
    state = self.variable("routing", "map", lambda: routing.unflatten(initial, shapes))
    weight = self.variable("routing", "weight", lambda: jnp.float32(0.0))
    frozen = self.variable("routing", "frozen", lambda: jnp.array(False))
    held = state.value, weight.value
    live = None
    if options.source == "free":
      live = options.span * self.param("indices", lambda _: initial / options.span)
    elif options.source == "learner" and is_training:
      learner = routing.IndexLearner(options, self.axis_name, name="index_learner")
      # The learner reads features; it does not shape them.
      live = learner(jax.lax.stop_gradient(stream.full(x)), initial)
    if not is_training or self.is_initializing():
      return state.value
    if options.source == "drawn":
      path, cells = "/".join(self.path), generator.start_cells(shape)
      moving = routing.drawn_offsets(path, weight.value, shapes, cells)
      followed = state.value, weight.value + 1.0
    elif live is not None:
      moving = routing.unflatten(live, shapes)
      followed = routing.follow(*held, moving, options.momentum)
    else:
      return state.value

    def unless_frozen(old: Array, new: Array) -> Array:
      return jnp.where(frozen.value, old, new)

    state.value, weight.value = jax.tree.map(unless_frozen, held, followed)
    return jax.tree.map(unless_frozen, held[0], moving)


class EpitomeConv(GeneratedLayer, kw_only=True):
  """A 1-D or 2-D convolution with a generated kernel.

  Attributes:
    features: output channels.
    window: kernel size, one number a spatial axis.
    strides: one number, or one a spatial axis.
    padding: (low, high) zeros a spatial axis, "SAME", "VALID", or None for
      (window - 1) // 2 * dilation on both sides, as the published torch models do.
    dilation: one number, or one a spatial axis.
    groups: feature groups.
    linear: whether nothing but batch norms, sums and layers read the output.
    streams: whether such an output may be a `stream.Stream`, which it then is where
      replicas that stand in step are folded: in a network that only runs.
  """

  features: int
  window: Sequence[int]
  strides: int | Sequence[int] = 1
  padding: Padding | None = None
  dilation: int | Sequence[int] = 1
  groups: int = 1
  linear: bool = False
  streams: bool = False

  @nn.compact
  def __call__(
    self, x: Array | Stream, apply: Callable[[Array, Array], Array] | None = None
  ) -> Array | Stream:
    """(batch, *space, channels) -> (batch, *output space, features).

    Args:
      x: activations.
      apply: of x and the kernel, in place of the convolution that the attributes say;
        only where the kernel is stored whole.
    """
    application = Application.of_convolution(
      self.window, self.strides, self.padding, self.dilation, self.groups
    )
    streams = self.linear and self.streams
    application = dataclasses.replace(application, streams=streams)
    if apply is not None:
      application = apply
    shape = (*self.window, x.shape[-1] // self.groups, self.features)
    return self._apply_kernel(x, shape, application)


class EpitomeDense(GeneratedLayer, kw_only=True):
  """A dense layer with a generated kernel.

  Attributes:
    features: output features.
  """

  features: int

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """(..., inputs) -> (..., features)."""
    return self._apply_kernel(x, (x.shape[-1], self.features), Application())
