"""A trained network that another one learns from: it answers every training batch."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from neural_epitome.config import Config
from neural_epitome.data import classes as class_lists
from neural_epitome.distributed.devices import AXIS, Batch
from neural_epitome.errors import UserError
from neural_epitome.training import loading, pretrained


def make_teacher(
  config: Config, classes: tuple[str, ...], mesh: Mesh
) -> Callable[[Batch], Batch]:
  """Loads a teacher.

  Args:
    config: of the student; `config.training` names the teacher and its part of the
      loss. A state dict is taken to be of the student's own architecture, dense.
    classes: that the student tells apart.
    mesh: one axis, `data`.

  Returns:
    A function that adds the teacher's float32 logits to a batch, as `teacher`, in the
    order of the student's classes.

  Raises:
    UserError: if it cannot be loaded, or was trained for other classes or examples.
  """
  options, input_shape = config.training, config.data.input_shape
  if pretrained.is_state_dict(options.teacher):
    trained = pretrained.load_pretrained(options.teacher, config, classes)
  else:
    trained = loading.load(options.teacher)
  where = f"config.training.teacher={options.teacher!r}"
  labels = class_lists.labels(trained.classes, classes)
  if labels is None:
    words = class_lists.difference(trained.classes, classes)
    raise UserError(f"{where} tells other classes apart than the data has: {words}.")
  if trained.config.data.input_shape != input_shape:
    raise UserError(
      f"{where} sees examples of shape {list(trained.config.data.input_shape)}, the "
      f"data's are {list(input_shape)}."
    )
  variables = jax.device_put(trained.variables, NamedSharding(mesh, PartitionSpec()))

  def answer(variables, image):
    logits: Any = trained.model.apply(variables, image, train=False)
    return logits.astype(jnp.float32)[:, np.array(labels)]

  run = jax.jit(answer, out_shardings=NamedSharding(mesh, PartitionSpec(AXIS)))
  return lambda batch: batch | {"teacher": run(variables, batch["image"])}
