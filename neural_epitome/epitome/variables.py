"""What a Linen layer keeps in Flax's variable collections, and under which names.

Of a layer at the path `block/conv`:

| variable                          | what it is                                      |
|-----------------------------------|-------------------------------------------------|
| `params/block/conv/<role>`        | a tensor of its generator, such as `epitome`    |
| `params/<name>`                   | a tensor that several layers of a plan share    |
| `params/block/conv/bias`          | the bias                                        |
| `params/block/conv/indices`       | offsets that are parameters (`source="free"`)   |
| `params/block/conv/index_learner` | the network that computes them (`"learner"`)    |
| `routing/block/conv/map`          | offsets to evaluate with, by axis               |
| `routing/block/conv/weight`       | history in the map's moving average, or the     |
|                                   | number of offsets drawn (`source="drawn"`)      |
| `routing/block/conv/frozen`       | whether the map has stopped moving              |

A dense kernel is the tensor `kernel`, so the parameters of a layer that is not
compressed are those of Flax's. A generator without offsets, such as a tile, has nothing
in `routing`. Like batch statistics, `routing` is updated in a forward pass that makes
it mutable, and only read in every other.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from neural_epitome.epitome import routing, stream
from neural_epitome.epitome.generators import Dense, GeneratorSpec
from neural_epitome.epitome.generators.base import Tensors
from neural_epitome.epitome.sampling import Array, Offsets, Shape
from neural_epitome.epitome.stream import Stream
from neural_epitome.errors import UserError


def initial(
  generator: GeneratorSpec,
  key: Array,
  shape: Shape,
  offsets: Offsets,
  kernel_init: Callable[..., Array],
  dtype: Any,
) -> dict[str, Array]:
  """A generator's tensors at initialisation, by role.

  Args:
    generator: of the kernel.
    key: random key.
    shape: of the full kernel.
    offsets: where sampling starts, by axis.
    kernel_init: of a key, a shape and a dtype: distribution of the kernel's entries.
    dtype: of the tensors.
  """
  # Float32 where tensors are computed from what is drawn; a dense kernel is Flax's.
  drawn_in = dtype if isinstance(generator, Dense) else jnp.float32

  def entries(key: Array, shape: Shape) -> Array:
    return kernel_init(key, shape, drawn_in)

  drawn = generator.init(key, shape, offsets, entries)
  return {role: tensor.astype(dtype) for role, tensor in drawn.items()}


def tensors(
  module: nn.Module, names: Mapping[str, str], init: Callable[[Array], Tensors]
) -> dict[str, Array]:
  """The stored tensors that a layer reads; made when the layer is initialised.

  Args:
    module: the layer, in its compact method.
    names: full name of the tensor by role. One that is not named after the layer is
      shared, and lives at the top of the parameter tree.
    init: of all tensors by role, from a key.

  Returns:
    The tensors by role.
  """
  return {role: _tensor(module, name, role, init) for role, name in names.items()}


def _tensor(
  module: nn.Module, name: str, role: str, init: Callable[[Array], Tensors]
) -> Array:
  if name == "/".join((*module.path, role)):
    return module.param(role, lambda key: init(key)[role])
  assert module.scope is not None, "a layer reads tensors when it is called"
  root = module.scope.root
  if not root.has_variable("params", name):
    root.put_variable("params", name, init(module.make_rng("params"))[role])
  return root.get_variable("params", name)


def offsets(
  module: nn.Module,
  x: Array | Stream,
  generator: GeneratorSpec,
  shape: Shape,
  options: routing.IndexOptions,
  axis_name: str | None = None,
) -> dict[str, Array]:
  """Offsets to sample a kernel with, and one step of the routing map after them.

  Args:
    module: the layer, in its compact method.
    x: its input, (batch, ..., channels), which a learner reads.
    generator: of its kernel.
    shape: of the full kernel.
    options: where offsets come from in training.
    axis_name: mesh axis over which learners average.

  Returns:
    Offsets by axis: those of the map, or in training (`routing` is mutable) of the
    options' source.

  Raises:
    UserError: if the layer is applied without its `routing` variables, or offsets of
      its generator cannot come from this source.
  """
  shapes = generator.offsets(shape)
  if not shapes:
    return {}
  if options.source not in generator.sources:
    raise UserError(
      f"indices.source={options.source} cannot move the starts of a {generator.kind}; "
      f"set it to {' or '.join(generator.sources)}."
    )
  path, cells = "/".join(module.path), generator.start_cells(shape)
  is_initializing = module.is_initializing()
  is_training = module.is_mutable_collection("routing") and not is_initializing
  if not (is_initializing or is_training or module.has_variable("routing", "map")):
    raise UserError(
      f"The layer at {path or 'the top'!r} was applied without its routing map: pass "
      "the collection 'routing' beside 'params', as it came from init or training."
    )

  def start() -> Array:
    key = module.make_rng("params")
    return routing.flatten(routing.starting_offsets(options, key, shapes, cells))

  count = sum(map(math.prod, shapes.values()))
  initial = start() if is_initializing else jnp.zeros(count)
  # Every source starts at the same offsets: a learner's last layer is zero.
  state = module.variable("routing", "map", lambda: routing.unflatten(initial, shapes))
  weight = module.variable("routing", "weight", lambda: jnp.float32(0.0))
  frozen = module.variable("routing", "frozen", lambda: jnp.array(False))
  before = state.value, weight.value
  live = None
  if options.source == "free":
    live = options.span * module.param("indices", lambda _: initial / options.span)
  elif options.source == "learner" and (is_training or is_initializing):
    learner = routing.IndexLearner(options, axis_name, name="index_learner")
    # The learner reads features; it does not shape them.
    features = jnp.atleast_2d(stream.full(x))
    live = learner(jax.lax.stop_gradient(features), initial)
  if not is_training:
    return state.value
  after: tuple[Offsets, Array]
  if options.source == "drawn":
    sampled = routing.drawn_offsets(path, weight.value, shapes, cells)
    after = state.value, weight.value + 1.0
  elif live is not None:
    sampled = routing.unflatten(live, shapes)
    after = routing.follow(*before, sampled, options.momentum)
  else:
    return state.value

  def unless_frozen(old: Array, new: Array) -> Array:
    return jnp.where(frozen.value, old, new)

  state.value, weight.value = jax.tree.map(unless_frozen, before, after)
  return jax.tree.map(unless_frozen, before[0], sampled)
