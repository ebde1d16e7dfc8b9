"""The routing map: where sampling offsets start, how they are learned and frozen.

A layer's offsets (see `sampling` for their shapes) come from one of these sources: a
*learner* that reads the layer's input, *free* parameters, or a *fixed* choice. The
forward pass in training uses them with their gradient; the routing map follows as
their moving average, and evaluation uses the map alone, so the network that ships does
not depend on its input batch (Neural Epitome Search, section 3). Or they are *drawn*
anew in every step of training, and the map stays where it starts.

A layer's entry in the `routing` collection is

    {"map": offsets, "weight": how much history the average holds, "frozen": bool}
"""

import dataclasses
import math
import zlib
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.domains import Amount, Count, Positive, Share
from neural_epitome.epitome.sampling import Array, Offsets, Shape


@dataclasses.dataclass(frozen=True)
class IndexOptions:
  """Where sampling offsets come from in training; no part of the plan.

  Attributes:
    source: `learner` (a small network on the layer's input), `free` (the offsets
      are parameters themselves), `fixed` (they stay where they start) or `drawn`
      (whole cells, each as likely, on all devices alike).
    start: `zero` (a tile), `spread` (evenly over the epitome, with noise) or
      `random` (integers).
    noise: standard deviation of the noise of `spread`, in cells.
    span: cells an offset moves when its parameter moves by one.
    momentum: of the moving average that becomes the routing map.
    hidden: width of the learner's hidden layer.
  """

  source: Literal["learner", "free", "fixed", "drawn"] = "learner"
  start: Literal["zero", "spread", "random"] = "spread"
  noise: Amount = 0.1
  span: Positive = 1.0
  momentum: Share = 0.99
  hidden: Count = 16


def starting_offsets(
  options: IndexOptions,
  key: Array,
  shapes: Mapping[str, Shape],
  cells: Mapping[str, Shape],
) -> dict[str, Array]:
  """Offsets at initialisation.

  Args:
    options: says which start.
    key: random key.
    shapes: shape of the offsets of each sampled axis.
    cells: for each of them the number of start cells, one number for a channel
      axis (circular) and one a spatial axis for `spatial` (room + 1 cells).

  Returns:
    float32 offsets, by axis.
  """
  offsets = {}
  for axis, axis_key in zip(shapes, jax.random.split(key, len(shapes)), strict=True):
    shape = shapes[axis]
    extent = jnp.asarray(cells[axis], jnp.float32)
    extent = jnp.broadcast_to(extent if axis == "spatial" else extent[0], shape)
    if options.start == "zero":
      offsets[axis] = jnp.zeros(shape, jnp.float32)
    elif options.start == "random":
      offsets[axis] = jnp.floor(jax.random.uniform(axis_key, shape) * extent)
    else:
      offsets[axis] = _spread(options, axis_key, axis, shape, extent)
  return offsets


def _spread(
  options: IndexOptions, key: Array, axis: str, shape: Shape, extent: Array
) -> Array:
  # Not drawn where it is off: a draw for each layer takes seconds to compile.
  noise = options.noise * jax.random.normal(key, shape) if options.noise else 0.0
  if axis == "spatial":
    places = shape[:-1]
    count = math.prod(places)
    # One window sits in the middle; several go from border to border.
    share = (jnp.arange(count, dtype=jnp.float32) + 0.5) / count
    room = extent - 1.0
    return jnp.clip(room * share.reshape(*places, 1) + noise, 0.0, room)
  # Neighbouring replicas along the axis that is sampled lie far apart; along the
  # other one they fill the gaps between.
  count = math.prod(shape)
  order = jnp.arange(count, dtype=jnp.float32).reshape(shape)
  if axis == "output" and len(shape) == 2:
    order = jnp.arange(count, dtype=jnp.float32).reshape(shape[::-1]).T
  return extent * order / count + noise


def drawn_offsets(
  path: str, step: Array, shapes: Mapping[str, Shape], cells: Mapping[str, Shape]
) -> dict[str, Array]:
  """Whole cells for one step of training, the same wherever it is computed.

  Args:
    path: of the kernel.
    step: how many were drawn before, float32.
    shapes: see `starting_offsets`.
    cells: see `starting_offsets`.
  """
  # From the step, not from a stream: a resumed run, and every device, draws the same.
  key = jax.random.key(zlib.crc32(path.encode()))
  key = jax.random.fold_in(key, step.astype(jnp.uint32))
  return starting_offsets(IndexOptions(start="random"), key, shapes, cells)


class IndexLearner(nn.Module):
  """Reads a layer's input and says where its replicas start.

  Global average pooling, a perceptron with one hidden layer (without biases) on each
  example, the mean over the batch. The last layer starts at zero and its bias at the
  starting offsets, so at first the learner is exactly the `free` source.

  Attributes:
    options: span and hidden width.
    axis_name: mesh axis over whose devices the batch mean is taken.
  """

  options: IndexOptions
  axis_name: str | None = None

  @nn.compact
  def __call__(self, x: Array, start: Array) -> Array:
    """Offsets in cells, (count,), from x (batch, ..., channels)."""
    # A product of matrices for each example: on a CPU a reduction over the middle axis
    # takes twice as long, and a product with one vector, which XLA transposes x for,
    # ten times.
    places = x.reshape(x.shape[0], -1, x.shape[-1]).astype(jnp.float32)
    weights = jnp.full((len(places), 1, places.shape[1]), 1.0 / places.shape[1])
    pooled = jnp.einsum("bqp,bpc->bqc", weights, places)[:, 0]
    # Uniform: a normal draw takes longer to compile.
    uniform = nn.initializers.variance_scaling(1.0, "fan_in", "uniform")
    hidden = nn.Dense(
      self.options.hidden, use_bias=False, kernel_init=uniform, name="hidden"
    )(pooled)
    # The last layer is linear, so the mean over the batch may come before it.
    hidden = jnp.full(x.shape[0], 1.0 / x.shape[0]) @ nn.relu(hidden)
    if self.axis_name is not None and not self.is_initializing():
      hidden = jax.lax.pmean(hidden, self.axis_name)
    move = nn.Dense(
      start.size, use_bias=False, kernel_init=nn.initializers.zeros, name="move"
    )(hidden)
    bias = self.param("bias", lambda _: start / self.options.span)
    return self.options.span * (move + bias)


def flatten(offsets: Offsets) -> Array:
  """Joins the offsets of all axes into one vector, in the order of their names."""
  return jnp.concatenate([offsets[axis].reshape(-1) for axis in sorted(offsets)])


def unflatten(vector: Array, shapes: Mapping[str, Shape]) -> dict[str, Array]:
  """Takes apart what `flatten` joined."""
  offsets, begin = {}, 0
  for axis in sorted(shapes):
    end = begin + math.prod(shapes[axis])
    offsets[axis] = vector[begin:end].reshape(shapes[axis])
    begin = end
  return offsets


def follow(
  routing_map: Offsets, weight: Array, offsets: Offsets, momentum: float
) -> tuple[dict[str, Array], Array]:
  """One step of the routing map's bias-corrected moving average.

  The corrected average itself is kept, with the total weight of its history:
  w' = mu w + (1 - mu), M' = M + (1 - mu) / w' (u - M). The first step (w = 0) sets
  M = u, whatever M was. Channel offsets are averaged unwrapped.

  Returns:
    The new map and the new weight.
  """
  weight = momentum * weight + (1.0 - momentum)
  rate = (1.0 - momentum) / weight
  return {
    axis: value + rate * (jax.lax.stop_gradient(offsets[axis]) - value)
    for axis, value in routing_map.items()
  }, weight


def freeze(routing: Any) -> Any:
  """Freezes a whole `routing` collection and rounds its channel offsets.

  A fractional channel offset blends unrelated channels and costs multiplications;
  integers cost none. Spatial offsets stay fractional: they only crop the epitome.

  Args:
    routing: the collection, nested by module names.

  Returns:
    The collection with every map rounded on its channel axes and marked frozen.
  """
  if not isinstance(routing, Mapping):
    return routing
  if "map" not in routing:
    return {name: freeze(value) for name, value in routing.items()}
  rounded = {
    axis: value if axis == "spatial" else jnp.round(value)
    for axis, value in routing["map"].items()
  }
  frozen = jnp.ones_like(routing["frozen"])
  return {"map": rounded, "weight": routing["weight"], "frozen": frozen}
