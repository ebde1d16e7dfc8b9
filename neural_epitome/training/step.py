"""The training step, per device, over a mesh of all devices.

The batch is cut along the mesh axis `data`; the state is the same on every device,
and donated.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.sharding import Mesh

from neural_epitome.distributed.devices import AXIS, Batch, over_devices
from neural_epitome.epitome import routing as routing_maps
from neural_epitome.training import averaging, losses
from neural_epitome.training.state import State

Metrics = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class StepOptions:
  """What the step needs to know beside the model and the update rule.

  Attributes:
    seed: of dropout and mixup.
    label_smoothing: probability mass spread over all classes.
    mixup: alpha of the beta distribution; 0 is off.
    teacher_share: of the loss, where batches hold a `teacher`'s logits.
    temperature: see `losses.distillation`.
    ema_decay: of the averaged copy; 0 is off.
    freeze_step: first step trained with the routing map frozen and rounded.
  """

  seed: int = 0
  label_smoothing: float = 0.0
  mixup: float = 0.0
  teacher_share: float = 0.5
  temperature: float = 1.0
  ema_decay: float = 0.0
  freeze_step: int = 2**31 - 1


def across_devices(tree: Any) -> Any:
  """The mean over devices of every float array of a tree.

  Arrays of other types must be equal on all devices already.
  """

  def mean(value: jax.Array) -> jax.Array:
    is_float = jnp.issubdtype(value.dtype, jnp.floating)
    return jax.lax.pmean(value, AXIS) if is_float else value

  return jax.tree.map(mean, tree)


def global_norm(tree: Any) -> jax.Array:
  """The Euclidean norm of all arrays together.

  Of their concatenation: a reduction for each of hundreds of arrays takes XLA's CPU
  backend a quarter of the step's whole compilation.
  """
  flat = [value.astype(jnp.float32).reshape(-1) for value in jax.tree.leaves(tree)]
  return jnp.linalg.norm(jnp.concatenate(flat))


def make_train_step(
  model: nn.Module,
  optimizer: optax.GradientTransformation,
  schedule: optax.Schedule,
  mesh: Mesh,
  options: StepOptions,
) -> Callable[[State, Batch], tuple[State, Metrics]]:
  """Builds the compiled step.

  Args:
    model: the network; built with `axis_name="data"` where its batch norms are to
      see the global batch.
    optimizer: the update rule.
    schedule: learning rate by step, for the metrics.
    mesh: one axis, `data`.
    options: see `StepOptions`.

  Returns:
    `step(state, batch) -> (state, metrics)`. The batch is {"image": float32
    (B, H, W, C), "label": int32 (B,), "position": (B,) global example position}, and
    may have a "teacher", float32 logits (B, classes), of images before mixup.
    The metrics are scalars: loss (nats), accuracy (share of this batch predicted
    as its unmixed label), gradient_norm, learning_rate and finite, False if loss,
    gradients or update are not; those of the last gate step where gates learn.
  """

  def loss_of(
    params: Any, state: State, batch: Batch
  ) -> tuple[jax.Array, tuple[jax.Array, Any]]:
    keys = losses.example_keys(options.seed, losses.DROPOUT_STREAM, batch["position"])
    variables = state.replace(params=params).variables()
    image = batch["image"]
    mix = None
    if options.mixup > 0:
      mix = losses.mixup(options.seed, options.mixup, batch["position"])
      image = mix(image)
    logits, updated = model.apply(
      variables, image, train=True, keys=keys, mutable=["batch_stats", "routing"]
    )
    targets = losses.smooth_labels(
      batch["label"], logits.shape[-1], options.label_smoothing
    )
    if mix is not None:
      targets = mix(targets)
    loss = losses.cross_entropy(logits, targets)
    if "teacher" in batch:
      answers = jax.nn.softmax(batch["teacher"] / options.temperature)
      answers = answers if mix is None else mix(answers)
      taught = losses.distillation(logits, answers, options.temperature)
      loss = (1.0 - options.teacher_share) * loss + options.teacher_share * taught
    return loss, (logits, updated)

  def device_step(state: State, batch: Batch) -> tuple[State, Metrics]:
    frozen = state.step == options.freeze_step
    routing = jax.tree.map(
      lambda old, new: jnp.where(frozen, new, old),
      state.routing,
      routing_maps.freeze(state.routing),
    )
    state = state.replace(routing=routing)
    # Parameters vary by device *before* kernels are generated from them: otherwise
    # the transpose sums each generated kernel's gradient over devices, R times the
    # bytes of the epitome's.
    local = jax.tree.map(
      lambda value: jax.lax.pcast(value, AXIS, to="varying"), state.params
    )
    (loss, (logits, updated)), gradients = jax.value_and_grad(loss_of, has_aux=True)(
      local, state, batch
    )
    gradients = across_devices(gradients)
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    batch_stats = across_devices(updated.get("batch_stats", state.batch_stats))
    routing = across_devices(updated.get("routing", state.routing))

    hits = jnp.argmax(logits, axis=-1) == batch["label"]
    loss, accuracy = across_devices((loss, jnp.mean(hits.astype(jnp.float32))))
    norm = global_norm(gradients)
    # A finite gradient can still overflow in the update.
    finite = jnp.isfinite(loss) & jnp.isfinite(norm)
    finite &= jnp.isfinite(global_norm(updates))
    if state.policy:
      finite &= jnp.isfinite(state.policy.loss)
    metrics = {
      "loss": loss,
      "accuracy": accuracy,
      "gradient_norm": norm,
      "learning_rate": schedule(state.step),
      "finite": finite,
    }
    if state.policy:
      metrics |= state.policy.metrics()
    ema = state.ema
    if ema:
      ema = averaging.update(
        ema,
        params,
        batch_stats,
        routing,
        decay=options.ema_decay,
        step=state.step,
        freeze_step=options.freeze_step,
      )
    return State(
      step=state.step + 1,
      params=params,
      batch_stats=batch_stats,
      routing=routing,
      opt_state=opt_state,
      ema=ema,
      policy=state.policy,
    ), metrics

  return over_devices(device_step, mesh, donate_argnums=0)
