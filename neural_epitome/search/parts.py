"""What of a configuration a search is about: its supernet and its options."""

from neural_epitome.config import Config
from neural_epitome.errors import UserError
from neural_epitome.spaces.supernet import SupernetConfig
from neural_epitome.strategies.options import SearchOptions


def of(config: Config) -> tuple[SupernetConfig, SearchOptions]:
  """The supernet and the options of a search.

  Raises:
    UserError: if the experiment is no search.
  """
  if config.search is None or not isinstance(config.model, SupernetConfig):
    raise UserError(
      f"Experiment {config.name} is no search: it needs config.search and a supernet "
      "for its config.model."
    )
  return config.model, config.search
