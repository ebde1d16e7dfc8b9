"""A table of latencies for the space of any supernet, measured on this machine."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from neural_epitome.config import Config
from neural_epitome.errors import UserError
from neural_epitome.search import branch_latency, latency_measurement
from neural_epitome.spaces import MultiBranchSupernetConfig, SupernetConfig
from neural_epitome.spaces.searchable import Searchable

# By the kind of the supernet, what times the parts of its space.
MEASURES: Mapping[str, Callable[..., Any]] = {
  SupernetConfig.kind: latency_measurement.measure,
  MultiBranchSupernetConfig.kind: branch_latency.measure,
}


def write(config: Config, path: Path, *, batch: int, networks: int, quiet: bool) -> Any:
  """Times the blocks of a search's space on this machine, and writes the table.

  Args:
    config: of a supernet.
    path: of the file.
    batch: images in one call.
    networks: random choices that are timed whole, to compare their sums with.
    quiet: shows no progress.

  Raises:
    UserError: if the configuration has no space, or the numbers are not above 0.
  """
  if not isinstance(config.model, Searchable):
    raise UserError(f"Experiment {config.name} has no space: its model is no supernet.")
  if batch < 1 or networks < 2:
    raise UserError(f"Latency needs a batch above 0, not {batch}, and 2 networks.")
  config.model.space.check()
  from neural_epitome.data import sources

  data = config.data
  classes = data.classes or len(sources.open_source(data, data.train_split).classes)
  how = {"batch": batch, "networks": networks, "quiet": quiet}
  table = MEASURES[config.model.kind](
    config.model.space, classes, data.input_shape[-1], **how
  )
  table.save(path)
  return table
