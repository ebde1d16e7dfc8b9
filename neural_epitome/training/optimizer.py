"""The update rule and its schedule, put together from Optax."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from neural_epitome.config import OptimizerOptions

Schedule = optax.Schedule
UNDECAYED = frozenset({"bias", "scale", "class_token", "positions"})
INDEX_NAMES = frozenset({"indices", "index_learner"})


def _names(path: tuple[Any, ...]) -> tuple[str, ...]:
  return tuple(str(getattr(part, "key", part)) for part in path)


def index_mask(params: Any) -> Any:
  """True for every parameter that routing offsets come from.

  Those are the leaves with `indices` or `index_learner` anywhere in their path.
  """
  return jax.tree_util.tree_map_with_path(
    lambda path, _: not INDEX_NAMES.isdisjoint(_names(path)), params
  )


def decay_mask(params: Any) -> Any:
  """True for every parameter that weight decay applies to: what kernels are made of.

  Biases and scales take none, whether of a norm or of a kernel's blocks, and neither
  do a transformer's class token and positions. By name: a vector that kernels are
  generated from decays like the kernels themselves.
  Neither do routing indices nor the index learner: decay would pull every offset to
  zero, the tile.
  """
  return jax.tree_util.tree_map_with_path(
    lambda path, _: (
      _names(path)[-1] not in UNDECAYED and INDEX_NAMES.isdisjoint(_names(path))
    ),
    params,
  )


def make_schedule(
  options: OptimizerOptions, *, total_steps: int, steps_per_epoch: float
) -> Schedule:
  """The learning rate as a function of the step.

  The exponential schedule counts its epochs from the start of the run, warm-up
  included, as the MobileNet and EfficientNet recipes do; the cosine begins where
  the warm-up ends. A warm-up longer than the run is cut at its end.

  Args:
    options: peak, shape and warm-up.
    total_steps: steps of the whole run.
    steps_per_epoch: steps in one pass over the training data.

  Returns:
    `schedule(step) -> float32 scalar`.
  """
  peak = options.learning_rate
  warmup = min(round(options.warmup_epochs * steps_per_epoch), total_steps)
  if options.schedule == "cosine":
    main = optax.cosine_decay_schedule(peak, max(1, total_steps - warmup))
  elif options.schedule == "exponential":
    period = max(1, round(options.decay_epochs * steps_per_epoch))
    decayed = optax.exponential_decay(
      peak, period, options.decay_factor, staircase=True
    )
    # join_schedules restarts the count at the boundary; the recipe does not.
    main = lambda step: decayed(step + warmup)  # noqa: E731
  else:
    main = optax.constant_schedule(peak)
  if warmup:
    rise = optax.linear_schedule(options.warmup_start, peak, warmup)
    main = optax.join_schedules([rise, main], [warmup])

  def schedule(step: Any) -> Any:
    with jax.numpy_dtype_promotion("standard"):
      return jnp.asarray(main(step), jnp.float32)

  return schedule


def about_warmup(options: OptimizerOptions, epochs: float) -> str:
  """A sentence on a warm-up that is longer than the run; empty if it is not."""
  if options.warmup_epochs <= epochs:
    return ""
  return (
    f"The warm-up of {options.warmup_epochs:g} epochs is cut to the run's {epochs:g}: "
    "the learning rate rises to the end (--config.optimizer.warmup_epochs)."
  )


def create(
  options: OptimizerOptions, *, total_steps: int, steps_per_epoch: float
) -> tuple[optax.GradientTransformation, Schedule]:
  """The gradient transformation of a run.

  In order: the mean over `accumulate` steps, clipping by global norm, weight decay
  (added to the gradient for sgd and rmsprop, decoupled in adamw), the rule, and the
  multiplier of the index parameters, which scales their final update.

  Args:
    options: what to build.
    total_steps: steps of the whole run (of data, not of updates).
    steps_per_epoch: steps in one pass over the training data.

  Returns:
    The transformation, and the learning rate as a function of the step.
  """
  schedule = make_schedule(
    options, total_steps=total_steps, steps_per_epoch=steps_per_epoch
  )
  # Inside MultiSteps the count is of updates, each of `accumulate` steps.
  rate = lambda count: schedule(count * options.accumulate)  # noqa: E731
  parts = []
  if options.clip_norm > 0:
    parts.append(optax.clip_by_global_norm(options.clip_norm))
  if options.weight_decay > 0 and options.name != "adamw":
    parts.append(optax.add_decayed_weights(options.weight_decay, mask=decay_mask))
  parts.append(_rule(options, rate))
  if options.index_multiplier != 1.0:
    parts.append(optax.masked(optax.scale(options.index_multiplier), index_mask))
  transform = optax.chain(*parts)
  if options.accumulate > 1:
    multi = optax.MultiSteps(transform, every_k_schedule=options.accumulate)
    transform = multi.gradient_transformation()
  return _with_standard_promotion(transform), schedule


def _with_standard_promotion(
  transform: optax.GradientTransformation,
) -> optax.GradientTransformation:
  # Optax mixes floats with integer counts, in Adam's bias correction for one, which
  # fails where a user (or our tests) made JAX's dtype promotion strict.
  def update(*arguments: Any, **keywords: Any) -> Any:
    with jax.numpy_dtype_promotion("standard"):
      return transform.update(*arguments, **keywords)

  return optax.GradientTransformation(transform.init, update)


def _rule(options: OptimizerOptions, rate: Schedule) -> optax.GradientTransformation:
  if options.name == "adamw":
    return optax.adamw(
      rate,
      b1=options.momentum,
      b2=options.decay,
      eps=options.epsilon,
      weight_decay=options.weight_decay,
      mask=decay_mask,
    )
  momentum = options.momentum if options.momentum > 0 else None
  if options.name == "sgd":
    return optax.sgd(rate, momentum=momentum)
  return optax.rmsprop(
    rate,
    decay=options.decay,
    eps=options.epsilon,
    initial_scale=1.0,
    eps_in_sqrt=True,
    momentum=momentum,
  )
