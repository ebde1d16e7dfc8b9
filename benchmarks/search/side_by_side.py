"""Networks of one space that train side by side: one program for any of them.

It is that of the space's supernet, which is told the choice and computes nothing else.
Images come in an order and with an augmentation that are a seed's, the same for all
networks, so that what differs between two of them is less a matter of chance.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.quality.images import CLASSES, SHAPE, Images
from benchmarks.quality.training import Course, Recipe, normalised, step
from neural_epitome import models
from neural_epitome.spaces import SupernetConfig
from neural_epitome.spaces.arch import Arch
from neural_epitome.spaces.chain_space import ChainSpace

Tree = Any
_EVALUATED = 500


def course(space: ChainSpace, count: int, epochs: int, batch: int = 100) -> Course:
  """How any network of a space is trained on so many images."""
  model = models.create(SupernetConfig(space), CLASSES)
  return Course(model, None, Recipe(batch=batch), epochs, count)


@functools.partial(jax.jit, static_argnums=0)
def _start(course: Course, arch: Arch, seed: jax.Array) -> Tree:
  image = jnp.zeros((1, *SHAPE), jnp.float32)
  variables = course.model.init(jax.random.key(seed), image)
  return course.start({**variables, "arch": {"arch": arch}})


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def _steps(
  course: Course, states: Tree, images: Images, chosen: Any, keys: Any
) -> Tree:
  def one(state: Tree, chosen: jax.Array, key: jax.Array) -> Tree:
    return step(course, state, images, {}, chosen, key)[0]

  return jax.vmap(one)(states, chosen, keys)


@functools.partial(jax.jit, static_argnums=0)
def _count_right(course: Course, states: Tree, image: Any, label: Any) -> jax.Array:
  def one(state: Tree) -> jax.Array:
    variables = {"params": state["params"], **state["rest"]}
    logits = course.model.apply(variables, normalised(image), train=False)
    return jnp.sum(jnp.argmax(logits, axis=-1) == label)

  return jax.vmap(one)(states)


def train(
  course: Course, archs: Sequence[Arch], seeds: Sequence[int], images: Images
) -> Tree:
  """The states of all runs, seed by seed of one network after the other's."""
  runs = [(arch, jnp.int32(seed)) for arch in archs for seed in seeds]
  # Drawn one by one, the weights of a seed are the same beside whatever others.
  states = [_start(course, jax.tree.map(jnp.asarray, a), seed) for a, seed in runs]
  states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
  batch, count = course.recipe.batch, len(archs)
  for epoch in range(course.epochs):
    draws = [np.random.default_rng((seed, epoch)) for seed in seeds]
    orders = [draw.permutation(course.count) for draw in draws]
    for number in range(course.steps):
      chosen = [order[number * batch : (number + 1) * batch] for order in orders]
      position = epoch * course.steps + number
      keys = [jax.random.fold_in(jax.random.key(seed), position) for seed in seeds]
      told = jnp.asarray(np.array(chosen * count, np.int32)), jnp.stack(keys * count)
      states = _steps(course, states, images, *told)
  return states


def top1(course: Course, states: Tree, images: Images) -> np.ndarray:
  """Of every run, the share of images that it gets right."""
  count = images.label.shape[0]
  parts = [slice(i, i + _EVALUATED) for i in range(0, count, _EVALUATED)]
  right = [
    _count_right(course, states, images.image[part], images.label[part])
    for part in parts
  ]
  return np.sum(np.asarray(right), axis=0) / count
