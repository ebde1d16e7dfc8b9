"""Epochs over images that lie on the device, augmented there.

An epoch is one compiled program on an accelerator, and one a step on a CPU.

What a step sees follows from the seed, the epoch and the step alone, so a run that is
taken up after an epoch goes on as if it had never stopped.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from benchmarks.quality.images import CLASSES, DEVIATION, MEAN, Images
from neural_epitome.training.compressed_statistics import measured
from neural_epitome.training.losses import cross_entropy, distillation
from neural_epitome.training.optimizer import decay_mask

Tree = Any
_MARGIN = 4  # pixels that a crop may be off by
_EVALUATED, _MEASURED = 500, 100  # images at a time


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How a network is trained.

  Attributes:
    learning_rate: at the peak; it rises over the first epoch and falls to 0 as a
      cosine over the rest.
    weight_decay: decoupled, of kernels and what they are made of.
    batch: images of a step.
    share: of the teacher's answers in the loss, where there is a teacher.
    temperature: of those answers, see `losses.distillation`.
  """

  learning_rate: float = 4e-3
  weight_decay: float = 0.05
  batch: int = 100
  share: float = 0.7
  temperature: float = 4.0


def normalised(images: jax.Array) -> jax.Array:
  """Bytes as float32 of mean 0 and deviation 1 by channel."""
  mean, deviation = jnp.array(MEAN), jnp.array(DEVIATION)
  pixels = images.astype(jnp.float32) / 255.0
  return (pixels - mean.reshape(1, 1, 1, 3)) / deviation.reshape(1, 1, 1, 3)


def augmented(key: jax.Array, images: jax.Array) -> jax.Array:
  """Each image (N, H, W, C) shifted by up to 4 pixels, and flipped half of the time."""
  count, *shape = images.shape
  margin = ((0, 0), (_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0))
  shift_key, flip_key = jax.random.split(key)
  shifts = jax.random.randint(shift_key, (count, 2), 0, 2 * _MARGIN + 1)
  flips = jax.random.bernoulli(flip_key, 0.5, (count, 1, 1, 1))

  def crop(image: jax.Array, shift: jax.Array) -> jax.Array:
    return jax.lax.dynamic_slice(image, (shift[0], shift[1], jnp.int32(0)), shape)

  images = jax.vmap(crop)(jnp.pad(images, margin), shifts)
  return jnp.where(flips, images[:, :, ::-1], images)


@dataclasses.dataclass(frozen=True)
class Course:
  """What is compiled once and runs for every seed: a network, its teacher, its recipe.

  Attributes:
    model: whose `apply` takes variables, images and `train`, and returns logits.
    teacher: likewise, or None.
    recipe: see there.
    epochs: of the whole run, which the learning rate falls over.
    count: images to train on; what is left of a last batch is left out.
  """

  model: Any
  teacher: Any
  recipe: Recipe
  epochs: int
  count: int

  @property
  def steps(self) -> int:
    """Of an epoch."""
    return self.count // self.recipe.batch

  def optimiser(self) -> optax.GradientTransformation:
    """AdamW."""
    total = max(1, self.steps * self.epochs)
    schedule = optax.warmup_cosine_decay_schedule(
      0.0, self.recipe.learning_rate, min(self.steps, total // 2), total
    )
    decay = self.recipe.weight_decay
    return optax.adamw(schedule, weight_decay=decay, mask=decay_mask)

  def start(self, variables: Tree) -> Tree:
    """The state before the first epoch: {"params", "rest", "optimiser"}."""
    # A step uses its state up, and an arm may start from arrays of its teacher.
    variables = jax.tree.map(jnp.copy, dict(variables))
    rest = {name: value for name, value in variables.items() if name != "params"}
    moments = self.optimiser().init(variables["params"])
    return {"params": variables["params"], "rest": rest, "optimiser": moments}


def step(
  course: Course, state: Tree, images: Images, taught_by: Tree, chosen: Any, key: Any
) -> tuple[Tree, jax.Array]:
  """One step of one run: the state after it, and the loss; a pure function.

  Args:
    course: see there.
    state: see `Course.start`.
    images: of which some are chosen.
    taught_by: the teacher's variables; empty without one.
    chosen: indices of the step's images, int32 (batch,).
    key: of the augmentation.
  """
  recipe = course.recipe
  image = normalised(augmented(key, images.image[chosen]))
  label = jax.nn.one_hot(images.label[chosen], CLASSES)
  answers = None
  if course.teacher is not None:
    logits = course.teacher.apply(taught_by, image, train=False)
    answers = jax.nn.softmax(logits / recipe.temperature)

  def loss_of(params: Tree) -> tuple[jax.Array, Tree]:
    rest = state["rest"]
    # The routing map stays where it is.
    mutable = [name for name in rest if name != "routing"]
    variables = {"params": params, **rest}
    logits, updated = course.model.apply(variables, image, train=True, mutable=mutable)
    loss = cross_entropy(logits, label)
    if answers is not None:
      taught = distillation(logits, answers, recipe.temperature)
      loss = (1 - recipe.share) * loss + recipe.share * taught
    return loss, {**rest, **updated}

  grad = jax.value_and_grad(loss_of, has_aux=True)
  (loss, rest), gradients = grad(state["params"])
  # Optax mixes floats with integer counts, which strict promotion does not allow.
  with jax.numpy_dtype_promotion("standard"):
    updates, moments = course.optimiser().update(
      gradients, state["optimiser"], state["params"]
    )
  params = optax.apply_updates(state["params"], updates)
  return {"params": params, "rest": rest, "optimiser": moments}, loss


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def _one_step(course, state, images, taught_by, chosen, key):
  return step(course, state, images, taught_by, chosen, key)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def _all_steps(course, state, images, taught_by, order, keys):
  def body(state, told):
    return step(course, state, images, taught_by, *told)

  return jax.lax.scan(body, state, (order, keys))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _plan_epoch(count: int, batch: int, seed: jax.Array, epoch: jax.Array):
  """The images of every step, int32 (steps, batch), and a key for each."""
  key = jax.random.fold_in(jax.random.key(seed), epoch)
  order_key, step_key = jax.random.split(key)
  steps = count // batch
  order = jax.random.permutation(order_key, count)[: steps * batch]
  return order.reshape(steps, batch), jax.random.split(step_key, steps)


def run_epoch(
  course: Course, state: Tree, images: Images, taught_by: Tree, seed: int, epoch: int
) -> tuple[Tree, float]:
  """One pass over the images in an order of its own.

  Args:
    course: see there.
    state: from `Course.start`, or this function; it is used up.
    images: `course.count` of them.
    taught_by: the teacher's variables; empty without one.
    seed: of the run.
    epoch: from 0.

  Returns:
    The state, and the mean loss.
  """
  batch = course.recipe.batch
  order, keys = _plan_epoch(course.count, batch, jnp.int32(seed), jnp.int32(epoch))
  if jax.default_backend() != "cpu":
    state, losses = _all_steps(course, state, images, taught_by, order, keys)
    return state, float(jnp.mean(losses))
  # Inside a loop, XLA's CPU backend runs a convolution fifty times slower.
  losses = []
  for step in range(course.steps):
    state, loss = _one_step(course, state, images, taught_by, order[step], keys[step])
    losses.append(loss)
  return state, float(jnp.mean(jnp.stack(losses)))


@functools.partial(jax.jit, static_argnums=0)
def _count_right(model: Any, variables: Tree, image: jax.Array, label: jax.Array):
  logits = model.apply(variables, normalised(image), train=False)
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, label)
  return jnp.sum(jnp.argmax(logits, -1) == label), jnp.sum(losses)


def evaluate(model: Any, variables: Tree, images: Images) -> dict[str, float]:
  """Top-1 in per cent and mean cross entropy in nats, of every image."""
  count = images.label.shape[0]
  parts = [slice(i, i + _EVALUATED) for i in range(0, count, _EVALUATED)]
  found = [
    _count_right(model, variables, images.image[part], images.label[part])
    for part in parts
  ]
  right, loss = (
    sum(float(value) for value in column) for column in zip(*found, strict=True)
  )
  return {"top1": 100 * right / count, "loss": loss / count}


@functools.partial(jax.jit, static_argnums=0)
def _after_a_step(model: Any, variables: Tree, image: jax.Array) -> Tree:
  _, moved = model.apply(
    variables, normalised(image), train=True, mutable=["batch_stats"]
  )
  return moved["batch_stats"]


def remeasured(model: Any, variables: Tree, image: jax.Array) -> Tree:
  """The variables with statistics of batch norms measured on these images, bytes.

  As in training the images are augmented: the black margins of crops shift statistics
  by more than what most arms lose.
  """
  image = augmented(jax.random.key(0), image)

  def after(old: Tree, image: jax.Array) -> Tree:
    return _after_a_step(model, {**variables, "batch_stats": old}, image)

  statistics, batch = variables["batch_stats"], min(_MEASURED, len(image))
  statistics = measured(after, statistics, image, batch, quiet=True)
  return {**variables, "batch_stats": statistics}
