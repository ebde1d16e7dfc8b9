"""What `compress` stored, trained towards the network that it came from.

    small = ne.distill(small, params, apply, examples)

The stored numbers are trained, and rounded as they ship in every step; how a kernel is
generated stays as it is. Windows may move, see `start_assignment`; the file gets no
larger.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from neural_epitome.compression import progress, trees
from neural_epitome.compression.compressed import Compressed
from neural_epitome.errors import UserError
from neural_epitome.training import start_assignment
from neural_epitome.training.compressed_statistics import (
  STATISTICS,
  example_count,
  is_float,
  is_named,
)

Tree = Any
Array = jax.Array
# Of a network's outputs and those of the network that it learns from.
Loss = Callable[[Array, Array], Array]

_TEMPERATURE = 4.0
_WARM_UP = 0.1  # of the steps
# Part of the steps after which windows stay where they are.
_SETTLED = 0.7
# Tensors of a smaller root mean square, such as new biases, count as of this one.
_SMALLEST = 1e-2


def output_error(outputs: Array, expected: Array) -> Array:
  """The squared difference over the variance of what is expected."""
  return jnp.mean((outputs - expected) ** 2) / (jnp.var(expected) + 1e-12)


def class_error(outputs: Array, expected: Array) -> Array:
  """Cross entropy with softened classes, of logits (batch, classes).

  Hinton et al. 2015 (arXiv 1503.02531), section 2, at temperature 4.
  """
  targets = jax.nn.softmax(expected / _TEMPERATURE)
  each = optax.softmax_cross_entropy(outputs / _TEMPERATURE, targets)
  return _TEMPERATURE**2 * jnp.mean(each)


def label_error(outputs: Array, expected: Array) -> Array:
  """Cross entropy of logits (batch, labels), each label of its own yes or no."""
  targets = jax.nn.sigmoid(expected)
  return jnp.mean(optax.sigmoid_binary_cross_entropy(outputs, targets))


LOSSES: dict[str, Loss] = {
  "outputs": output_error,
  "classes": class_error,
  "labels": label_error,
}


def distill(
  small: Compressed,
  teacher: Tree,
  apply: Callable[[Tree, Any], Array],
  examples: Any,
  *,
  loss: Literal["outputs", "classes", "labels"] | Loss = "outputs",
  epochs: int = 4,
  batch: int = 64,
  learning_rate: float = 3e-3,
  frozen: Sequence[str] = STATISTICS,
  seed: int = 0,
  moves: int = 4,
  quiet: bool = False,
) -> Compressed:
  """Trains what is stored until the outputs are those of the teacher, with no labels.

  Adam, whose steps are relative to the size of each stored tensor (Shazeer and Stern,
  2018, arXiv 1804.04235, section 8), after a warm-up, on a cosine to 0.

  Args:
    small: from `compress` or `compress_file`.
    teacher: the tree that was compressed, or one of its structure.
    apply: the network, a pure function of a tree and inputs; where it has batch norms,
      as in evaluation.
    examples: an array or a tree of arrays, of as many examples each along their first
      axis, as `apply` takes them.
    loss: what to bring together: `outputs` of any kind, `classes` for logits of a
      classifier, `labels` for logits of yes or no each, or a function of outputs and
      the teacher's outputs.
    epochs: passes over the examples.
    batch: examples of a step; what is left of a last one is left out.
    learning_rate: of the peak, relative to the root mean square of a tensor.
    frozen: shell patterns of stored tensors that stay as they are.
    seed: of the order of the examples.
    moves: times that windows go to better starts, evenly over the first 70 % of the
      steps; 0 leaves them where they are.
    quiet: shows no progress.

  Returns:
    The same with trained numbers, in no more bytes. `errors` are not known any more.

  Raises:
    UserError: for no examples or fewer than a batch, arguments out of range, a teacher
      of another structure, a pattern that leaves nothing, or a loss that is not finite.
  """
  count = example_count(examples, batch)
  if epochs < 1 or not learning_rate > 0:
    raise UserError(
      f"epochs={epochs} and learning_rate={learning_rate} must be above 0."
    )
  if moves < 0:
    raise UserError(f"moves={moves} must be 0 or more.")
  if isinstance(loss, str) and loss not in LOSSES:
    raise UserError(f"loss={loss!r} must be one of {', '.join(LOSSES)}, or a function.")
  loss_of = LOSSES[loss] if isinstance(loss, str) else loss
  names = trees.take_apart(teacher).arrays
  if missing := [path for path in small.plan.kernels if path not in names]:
    raise UserError(
      f"the teacher has no {missing[0]!r}: it must be the tree that was compressed, or "
      "one of its structure."
    )
  numbers = {name: jnp.asarray(value) for name, value in small.compact.items()}
  trained = {
    name: value
    for name, value in numbers.items()
    if is_float(value) and not is_named(name, frozen)
  }
  if not trained:
    raise UserError(f"frozen={list(frozen)} leaves nothing to train.")
  steps = count // batch * epochs
  optimizer = _optimizer(learning_rate, steps)
  residual = start_assignment.residuals(small, teacher) if moves else {}
  moving = {int(_SETTLED * steps * (move + 1) / moves) for move in range(moves)}

  @jax.jit
  def step(weights: Tree, state: Tree, starts: Tree, teacher: Tree, inputs: Any):
    expected = apply(teacher, inputs)
    sampled = small.at_starts(starts)

    def of_outputs(weights: Tree) -> Array:
      trained, residual = weights
      added = start_assignment.straight_through(residual)
      tree = sampled.expand({**numbers, **trained}, added)
      return loss_of(apply(tree, inputs), expected)

    value, gradients = jax.value_and_grad(of_outputs)(weights)
    # Optax mixes floats with integer counts, which strict promotion does not allow.
    with jax.numpy_dtype_promotion("standard"):
      updates, state = optimizer.update(gradients, state, weights)
    return optax.apply_updates(weights, updates), state, value

  weights = (trained, residual)
  state = optimizer.init(weights)
  random = np.random.default_rng(seed)
  batches = [
    order[begin : begin + batch]
    for order in (random.permutation(count) for _ in range(epochs))
    for begin in range(0, count - batch + 1, batch)
  ]
  value, moved, limits = jnp.float32(0), small, start_assignment.coded_bytes(small)
  for number, rows in enumerate(progress.shown(batches, quiet, "distilling"), 1):
    inputs = jax.tree.map(lambda leaf, rows=rows: leaf[rows], examples)
    starts = {path: jnp.int32(moved.offsets[path]["start"]) for path in residual}
    weights, state, value = step(weights, state, starts, teacher, inputs)
    if residual and number in moving:
      trained, residual = weights
      moved = moved.with_numbers({**numbers, **trained})
      moved, residual = start_assignment.assigned(moved, residual, limits)
      weights = (trained, residual)
  if not np.isfinite(value):
    raise UserError(
      f"the loss became {float(value)}: is the learning rate of {learning_rate} too "
      "high, or are there examples that are not finite?"
    )
  return moved.with_numbers({**numbers, **weights[0]})


def _optimizer(learning_rate: float, steps: int) -> optax.GradientTransformation:
  schedule = optax.warmup_cosine_decay_schedule(
    0.0, learning_rate, max(1, int(_WARM_UP * steps)), max(2, steps)
  )
  return optax.chain(
    optax.scale_by_adam(),
    optax.scale_by_param_block_rms(_SMALLEST),
    optax.scale_by_learning_rate(schedule),
  )
