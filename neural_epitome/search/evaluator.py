"""How accurate a choice is with weights that it shares with all others."""

import contextlib
import itertools
from collections.abc import Callable
from typing import Any

from neural_epitome.distributed import devices
from neural_epitome.errors import UserError
from neural_epitome.strategies.options import SearchOptions
from neural_epitome.training import batch_statistics, evaluation
from neural_epitome.training.feed import Feed
from neural_epitome.training.trained import Trained

Tree = Any


class Answers:
  """Evaluates choices, each with batch norms of its own.

  Batches are read once and kept: all choices see the same ones.
  """

  def __init__(
    self,
    trained: Trained,
    with_choice: Callable[[Tree, Any], Tree],
    options: SearchOptions,
  ):
    """Reads the batches.

    Args:
      trained: the supernet.
      with_choice: its variables with which it computes one choice.
      options: of the search.
    """
    config = trained.config
    self._with_choice, self._variables = with_choice, trained.variables
    self._mesh = devices.make_mesh()
    self._counter = evaluation.make_counter(trained.model, self._mesh)
    self._measure = batch_statistics.make_measure(
      trained.model, self._mesh, config.norm.momentum, config.training.seed
    )
    feed = Feed(config, trained.classes)
    count = max(1, options.statistics_batches)
    with contextlib.closing(feed.training(0)) as batches:
      self._training = list(itertools.islice(batches, count))
    batch_count = -(-options.examples // config.data.evaluation_batch_size) or None
    with contextlib.closing(feed.evaluation()) as batches:
      self._evaluation = list(itertools.islice(batches, batch_count))
    if not self._evaluation:
      raise UserError(f"{config.data.evaluation_split} has no examples to compare on.")

  def of(self, arch: Any) -> dict[str, float]:
    """The accuracy of a choice on the batches.

    Returns:
      `top1`, a share in [0, 1], and `loss`, the mean cross entropy in nats.
    """
    weights = {"choice": self.calibrated(arch)}
    measured = evaluation.evaluate(self._counter, weights, self._evaluation, self._mesh)
    return {name: measured["choice"][name] for name in ("top1", "loss")}

  def calibrated(self, arch: Any) -> dict[str, Tree]:
    """The supernet's variables for a choice, its batch norms estimated anew."""
    weights = {"choice": self._with_choice(self._variables, arch)}
    return batch_statistics.reestimate(
      self._measure, weights, self._training, self._mesh
    )["choice"]
