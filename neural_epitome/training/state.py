"""What training carries from one step to the next: one tree of arrays."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from jax.sharding import Mesh, NamedSharding, PartitionSpec

Tree = Any


class State(struct.PyTreeNode):
  """State of a run; a checkpoint holds exactly this.

  Attributes:
    step: int32 scalar, updates done so far; also names the next batch.
    params: trained parameters, float32.
    batch_stats: moving averages of the batch norms, float32.
    routing: routing maps (see `epitome.routing`).
    opt_state: state of the gradient transformation.
    ema: the averaged copy, {"params", "batch_stats", "routing"}; {} where the
      average is off.
    policy: of gates that learn beside the weights, a `gate_step.GateState`; {} where
      none do.
  """

  step: jax.Array
  params: Tree
  batch_stats: Tree
  routing: Tree
  opt_state: Tree
  ema: Tree
  policy: Tree = struct.field(default_factory=dict)

  def variables(self) -> dict[str, Tree]:
    """The raw model variables; `policy` among them where gates learn."""
    return {
      "params": self.params,
      "batch_stats": self.batch_stats,
      "routing": self.routing,
    } | self._of_policy()

  def _of_policy(self) -> dict[str, Tree]:
    if not self.policy:
      return {}
    names = ("alpha", "active", "history")
    return {"policy": {name: getattr(self.policy, name) for name in names}}

  def weights(self) -> dict[str, dict[str, Tree]]:
    """Every set of model variables the run has: `raw` and, where on, `ema`."""
    averaged = {"ema": self.ema | self._of_policy()} if self.ema else {}
    return {"raw": self.variables()} | averaged


def initializer(
  model: nn.Module,
  optimizer: optax.GradientTransformation,
  image_shape: tuple[int, ...],
  *,
  ema: bool,
  policy: Callable[[], Tree] = dict,
) -> Callable[[jax.Array], State]:
  """Returns `init(key) -> State`, pure, for `eval_shape` and `jit`.

  Args:
    model: the network.
    optimizer: the update rule.
    image_shape: (height, width, channels).
    ema: whether to keep an averaged copy.
    policy: makes the state of what learns beside the weights.
  """

  def init(key: jax.Array) -> State:
    # train=False: the training graph would be traced for nothing.
    images = jnp.zeros((1, *image_shape), jnp.float32)
    variables: Any = model.init(key, images, train=False)
    collections = {
      name: variables.get(name, {}) for name in ("params", "batch_stats", "routing")
    }
    return State(
      step=jnp.zeros((), jnp.int32),
      opt_state=optimizer.init(collections["params"]),
      ema=jax.tree.map(jnp.copy, collections) if ema else {},
      policy=policy(),
      **collections,
    )

  return init


def create(init: Callable[[jax.Array], State], seed: int, mesh: Mesh) -> State:
  """Runs `init` under jit with every array replicated over the mesh."""
  replicated = NamedSharding(mesh, PartitionSpec())
  # Run once: on a CPU, optimising hundreds of little random draws takes far longer
  # than drawing them.
  is_cpu = jax.default_backend() == "cpu"
  options = {"xla_backend_optimization_level": "0"} if is_cpu else None
  run = jax.jit(init, out_shardings=replicated, compiler_options=options)
  return run(jax.random.key(seed))


def abstract(init: Callable[[jax.Array], State], mesh: Mesh) -> State:
  """Shapes, types and (replicated) shardings of the state, without computing it."""
  replicated = NamedSharding(mesh, PartitionSpec())
  return jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=replicated),
    jax.eval_shape(init, jax.random.key(0)),
  )
