"""The trained network that --workdir names."""

import dataclasses
import json

from neural_epitome import config, flags
from neural_epitome.errors import UserError
from neural_epitome.training import loading
from neural_epitome.training.trained import Trained


def load(overrides: flags.Overrides) -> Trained:
  """The trained network of the run directory, its data options overridden."""
  trained = loading.load(flags.workdir(), weights=flags.WEIGHTS.value)
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
