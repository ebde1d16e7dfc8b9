"""Running a layer: its kernel built from what is stored, or folded away."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from neural_epitome.epitome import stream
from neural_epitome.epitome.generators import Dense, GeneratorSpec
from neural_epitome.epitome.generators.base import Tensors
from neural_epitome.epitome.geometry import Application
from neural_epitome.epitome.sampling import Array, Offsets, Shape
from neural_epitome.epitome.stream import Stream
from neural_epitome.errors import UserError

Execution = Literal["materialise", "fold"]
# Of x (batch, ..., channels) and a full kernel: a layer's output without its bias.
Apply = Callable[[Array, Array], Array]


def execute(
  x: Array | Stream,
  generator: GeneratorSpec,
  tensors: Tensors,
  offsets: Offsets,
  shape: Shape,
  application: Application | Apply,
  execution: Execution,
) -> Array | Stream:
  """A layer's output without its bias, from what its kernel is generated from.

  Args:
    x: (batch, ..., channels), of the dtype to compute in.
    generator: of the kernel.
    tensors: its stored tensors, by role.
    offsets: its sampling offsets, by axis.
    shape: of the full kernel.
    application: how the kernel is applied to `x`. With any other function than an
      `Application` the kernel is always built.
    execution: `materialise` builds the kernel; `fold` computes the output from the
      stored tensors directly where the generator can (see `folding`).

  Returns:
    (batch, ..., features), of the dtype of `x`.
  """
  folding = None
  if execution == "fold" and isinstance(application, Application):
    folding = application
  if folding is None or not generator.reads_streams:
    x = stream.full(x)
  if folding is not None:
    y = generator.fold(x, tensors, offsets, shape, folding)
    if y is not None:
      return y

  def materialised(x: Array, tensors: Tensors, offsets: Offsets) -> Array:
    kernel = generator.generate(tensors, offsets, shape)
    return application(x, kernel.astype(x.dtype))

  # Rematerialised: the backward pass keeps the epitome, not the kernel. A user's
  # function may be a Flax module, which a transformation of JAX must not go around.
  is_own = isinstance(application, Application) and application.function is None
  is_stored = isinstance(generator, Dense)
  run = jax.checkpoint(materialised) if is_own and not is_stored else materialised
  return run(stream.full(x), tensors, offsets)


def masked(application: Apply, mask: Any, shape: Shape) -> Apply:
  """The application of a kernel that is multiplied with a mask before.

  Raises:
    UserError: unless the mask has the shape of the kernel.
  """
  if jnp.shape(mask) != shape:
    raise UserError(
      f"mask has shape {list(jnp.shape(mask))}, and the kernel that it is multiplied "
      f"with {list(shape)}."
    )

  def apply(x: Array, kernel: Array) -> Array:
    return application(x, kernel * jnp.asarray(mask).astype(kernel.dtype))

  return apply
