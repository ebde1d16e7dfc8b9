"""How accurate a choice is with the weights of the supernet."""

import contextlib
import itertools
import json
from pathlib import Path
from typing import Any

import jax

from neural_epitome.errors import UserError
from neural_epitome.models.arch import Arch
from neural_epitome.models.chain_space import ChainSpace
from neural_epitome.search import slicing
from neural_epitome.search.options import SearchOptions
from neural_epitome.training import devices, evaluation, reestimation
from neural_epitome.training.loading import Trained
from neural_epitome.training.setup import Feed

Tree = Any


class Answers:
  """Evaluates choices, each with batch norms of its own.

  Batches are read once and kept: all choices see the same ones.
  """

  def __init__(self, trained: Trained, space: ChainSpace, options: SearchOptions):
    """Reads the batches.

    Args:
      trained: the supernet.
      space: its choices.
      options: of the search.
    """
    config = trained.config
    self._space, self._variables = space, trained.variables
    self._mesh = devices.make_mesh()
    self._counter = evaluation.make_counter(trained.model, self._mesh)
    self._measure = reestimation.make_measure(
      trained.model, self._mesh, config.norm.momentum, config.training.seed
    )
    feed = Feed(config)
    count = max(1, options.statistics_batches)
    with contextlib.closing(feed.training(0)) as batches:
      self._training = list(itertools.islice(batches, count))
    wanted = -(-options.examples // config.data.evaluation_batch_size) or None
    with contextlib.closing(feed.evaluation()) as batches:
      self._evaluation = list(itertools.islice(batches, wanted))
    if not self._evaluation:
      raise UserError(f"{config.data.evaluation_split} has no examples to compare on.")

  def top1(self, arch: Arch) -> float:
    """Share of the examples that a choice names rightly."""
    weights = {"choice": self.calibrated(arch)}
    found = evaluation.evaluate(self._counter, weights, self._evaluation, self._mesh)
    return found["choice"]["top1"]

  def calibrated(self, arch: Arch) -> dict[str, Tree]:
    """The supernet's variables for a choice, its batch norms estimated anew."""
    weights = {"choice": slicing.with_choice(self._variables, self._space, arch)}
    return reestimation.reestimate(self._measure, weights, self._training, self._mesh)[
      "choice"
    ]


class Log:
  """What has been asked and answered: one JSON line a choice, in the order asked.

  A search that is begun again asks the same questions, and is answered from here.
  """

  def __init__(self, path: Path, space: ChainSpace):
    """Reads what is there; a last line that was cut short is dropped."""
    self._path, self.lines = path, []
    self._known: dict[Arch, float] = {}
    if not path.exists():
      return
    text = path.read_text(encoding="utf-8")
    whole, _, cut = text.rpartition("\n")
    for line in whole.splitlines():
      record = json.loads(line)
      self.lines.append(record)
      arch = space.from_json(record["arch"], str(path))
      self._known[arch] = record["top1"]
    if cut and jax.process_index() == 0:
      path.write_text(whole + "\n" if whole else "", encoding="utf-8")

  def get(self, arch: Arch) -> float | None:
    """The answer, if the choice was asked for before."""
    return self._known.get(arch)

  def add(self, arch: Arch, record: dict[str, Any]) -> None:
    """Writes a line; `record` has a `top1`."""
    line = {"arch": arch.to_json()} | record
    self.lines.append(line)
    self._known[arch] = record["top1"]
    if jax.process_index() == 0:
      with self._path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
        file.flush()
