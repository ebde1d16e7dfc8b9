"""State dicts of small networks, from variables of ours."""

import functools

import jax
import numpy as np
from flax import traverse_util

from neural_epitome import models
from neural_epitome.cost import inventory
from neural_epitome.state_dicts import names

SMALL = {
  "mobilenet_v2": models.MobileNetV2Config(
    stages=((1, 8, 1), (2, 16, 2)), stage_strides=(2, 2), stem=8, head=32, dropout=0.0
  ),
  "efficientnet": models.EfficientNetConfig(width=0.25, depth=0.5),
  "resnet": models.ResNetConfig(depth=18, width=0.125),
  "vision_transformer": models.VisionTransformerConfig(
    patch=8, depth=2, embedding=12, heads=2
  ),
}
_FACTS = {"scale": "weight", "bias": "bias", "mean": "running_mean"}


def variables(model, classes, channels=1):
  """Random variables of a dense network, flat."""
  random = np.random.default_rng(0)

  def draw(path, shape):
    low = 0.5 if path.endswith(("var", "scale")) else -0.5
    return random.uniform(low, low + 1.0, shape).astype(np.float32)

  shapes = _shapes(model, classes, channels)
  return {path: draw(path, shape) for path, shape in shapes.items()}


@functools.cache
def _shapes(model, classes, channels):
  module = models.create(model, classes)
  image = jax.ShapeDtypeStruct((1, 32, 32, channels), np.float32)
  shapes = jax.eval_shape(module.init, jax.random.key(0), image)
  flat = traverse_util.flatten_dict(dict(shapes), sep="/")
  return {path: leaf.shape for path, leaf in flat.items()}


def state_dict(model, flat, library):
  """The arrays as the library names and turns them, and its counters."""
  table, state = names.layouts(model)[library], {}
  for path, array in flat.items():
    name = path.partition("/")[2]
    layer, _, last = name.rpartition("/")
    if name in table:
      state[table[name]] = array
      continue
    axes = (3, 2, 0, 1) if array.ndim == 4 else range(array.ndim)[::-1]
    told = {"kernel": "weight", "var": "running_var"} | _FACTS
    state[f"{table[layer]}.{told[last]}"] = array.transpose(axes)
    if last == "mean":
      state[f"{table[layer]}.num_batches_tracked"] = np.asarray(5, np.int64)
  return state


@functools.cache
def take(model, classes, channels=1):
  return inventory.take(models.create(model, classes), (32, 32, channels))
