"""The data of a run: batches of this process, and examples that cannot be decoded."""

import functools
from collections.abc import Collection, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from neural_epitome import packages
from neural_epitome.config import Config


class Feed:
  """The data of a run: this process's rows of every batch.

  Attributes:
    classes: class names, by label.
    bad: the training examples that could not be decoded, as far as this process knows:
      those that it met, and those of all processes at the last `share_bad`.
  """

  def __init__(self, config: Config, classes: Sequence[str] | None = None):
    """Opens the evaluation split, and the training split at its first use.

    Args:
      config: its `data` says which data, its seed the order of training.
      classes: class names of a trained network, by label; labels are then the
        network's, in whatever order the data have its classes. None takes the classes
        of the data, and opens the training split at once.

    Raises:
      UserError: if a split cannot be opened, or has a class that the network does not
        have.
    """
    # Imported here: a trained network is loaded and priced without Grain or TFDS.
    with packages.advised():
      from neural_epitome.data import bad_examples, pipeline, sources

    limit = config.data.maximum_bad_examples
    self.bad = bad_examples.BadExamples(limit)
    self._bad_in_evaluation = bad_examples.BadExamples(limit)
    self._pipeline = pipeline
    self._options, self._seed = config.data, config.training.seed
    self._sources, self._given = sources, classes
    self.classes = tuple(self._train.classes if classes is None else classes)
    self._evaluation = self._open(config.data.evaluation_split)

  def _open(self, split: str) -> Any:
    source = self._sources.open_source(self._options, split)
    of = "the training split" if self._given is None else "the network"
    return self._sources.relabelled(source, self.classes, of)

  @functools.cached_property
  def _train(self) -> Any:
    split = self._options.train_split
    if self._given is None:
      return self._sources.open_source(self._options, split)
    return self._open(split)

  @property
  def examples(self) -> int:
    """Number of training examples."""
    return len(self._train)

  def identity(self) -> dict[str, Any]:
    """The number of examples of each split and a digest of them, see `Source.digest`.

    Returns:
      {"train": {"examples": int, "digest": str}, "evaluation": likewise}.
    """
    return {
      name: {"examples": len(source), "digest": source.digest()}
      for name, source in (("train", self._train), ("evaluation", self._evaluation))
    }

  def describe(self) -> str:
    """Lines for the user: the sizes of the data, and the notes of `notes`."""
    counts = (
      f"Data: {len(self.classes)} classes, {len(self._train):,} training and "
      f"{len(self._evaluation):,} evaluation examples."
    )
    return "\n".join([counts, *self.notes()])

  def notes(self) -> list[str]:
    """The notes of the sources that are open (see `Source`), each line once."""
    opened = [self.__dict__.get("_train"), self._evaluation]
    return list(dict.fromkeys(line for s in opened if s for line in s.notes))

  def training(self, start_step: int) -> Any:
    """The infinite stream of training batches from `start_step`; close it."""
    return self._pipeline.training_batches(
      self._train,
      self._options,
      seed=self._seed,
      start_step=start_step,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
      bad=self.bad,
    )

  def choosing(self, start_step: int) -> Any:
    """The infinite stream of batches of the evaluation split; close it.

    They have the size and the augmentation of training batches: what learns beside the
    weights learns from them.
    """
    return self._pipeline.training_batches(
      self._evaluation,
      self._options,
      seed=self._seed,
      start_step=start_step,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
      bad=self._bad_in_evaluation,
    )

  def evaluation(self) -> Any:
    """One pass over the evaluation split; close it."""
    return self._pipeline.evaluation_batches(
      self._evaluation,
      self._options,
      process_index=jax.process_index(),
      process_count=jax.process_count(),
      bad=self._bad_in_evaluation,
    )

  def evaluation_inputs(self, positions: Sequence[int]) -> list[np.ndarray]:
    """Evaluation examples at some positions; see `pipeline.evaluation_inputs`."""
    return self._pipeline.evaluation_inputs(self._evaluation, self._options, positions)

  def share_bad(self) -> None:
    """Exchanges the indices of bad examples; all processes must call it.

    Raises:
      UserError: in all of them, if together they met more than are allowed.
    """
    for bad in (self.bad, self._bad_in_evaluation):
      bad.merge(_union(bad.untold))

  def count_bad(self, evaluated: float) -> dict[str, int]:
    """How many examples of each split could not be decoded; all processes call it.

    Args:
      evaluated: number of examples that all processes together evaluated.

    Raises:
      UserError: if more could not be decoded than are allowed, see `share_bad`.
    """
    self.share_bad()
    return {
      "bad_train_examples": len(self.bad.indices),
      "bad_evaluation_examples": len(self._evaluation) - int(evaluated),
    }


def _union(own: Collection[int]) -> set[int]:
  """The indices of all processes together."""
  if jax.process_count() == 1:
    return set(own)
  # How many first, so that all send the same shape; mostly there are none.
  longest = int(multihost_utils.process_allgather(np.int32(len(own))).max())
  if not longest:
    return set()
  padded = np.full(longest, -1, np.int32)
  padded[: len(own)] = sorted(own)
  return set(np.ravel(multihost_utils.process_allgather(padded)).tolist()) - {-1}
