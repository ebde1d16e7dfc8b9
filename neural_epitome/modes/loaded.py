"""The trained network that --workdir names."""

import dataclasses
import json

from neural_epitome import config, flags
from neural_epitome.errors import UserError
from neural_epitome.training import loading
from neural_epitome.training.trained import Trained


def load(overrides: flags.Overrides) -> Trained:
  """Loads the trained network of --workdir, with its data options overridden.

  Args:
    overrides: (dotted field, value) pairs; fields of `data` only.

  Raises:
    UserError: if the network cannot be loaded, or an override is not of its data.
  """
  trained = loading.load(flags.workdir(), weights=flags.weights())
  chosen = trained.config
  for field, value in (
    ("dataset", flags.DATASET.value),
    ("data_dir", flags.DATA_DIR.value),
  ):
    if value is not None:
      chosen = config.override(chosen, f"data.{field}", json.dumps(value))
  for path, text in overrides:
    if not path.startswith("data."):
      raise UserError(
        f"--config.{path} cannot change a trained network; only config.data can."
      )
    chosen = config.override(chosen, path, text)
  return dataclasses.replace(trained, config=chosen)
