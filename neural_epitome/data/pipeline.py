"""From a source to batches of normalised inputs, ordered and sharded by Grain.

Order and augmentation are pure functions of (seed, global position), where position
= step * batch_size + row and epoch = position // examples: nothing but the step is
needed to go on, on any number of processes, threads and workers.
"""

import os
import types
from collections.abc import Iterator, Sequence

import grain
import numpy as np
from absl import flags

from neural_epitome.data import images, signals
from neural_epitome.data.bad_examples import BadExamples
from neural_epitome.data.images import Batch
from neural_epitome.data.options import Data, SignalOptions
from neural_epitome.data.sources import Source
from neural_epitome.errors import UserError


class Batches:
  """An iterator of batches that owns threads or processes; close it when done."""

  def __init__(self, dataset: grain.IterDataset, bad: BadExamples):
    self._iterator, self._bad = iter(dataset), bad

  def __iter__(self) -> Iterator[Batch]:
    return self

  def __next__(self) -> Batch:
    batch = dict(next(self._iterator))
    self._bad.note(batch.pop("bad", {}))
    return batch

  def close(self) -> None:
    """Stops reading ahead and ends the threads and processes; may be repeated."""
    self._iterator.close()

  def __enter__(self) -> "Batches":
    return self

  def __exit__(self, *error: object) -> None:
    self.close()


def training_batches(
  source: Source,
  options: Data,
  *,
  seed: int,
  start_step: int = 0,
  process_index: int = 0,
  process_count: int = 1,
  bad: BadExamples | None = None,
) -> Batches:
  """Returns the infinite stream of this process's training batches.

  Every epoch holds each example exactly once in an order of its own; a batch may
  straddle two epochs. Process p of P has rows [p * B / P, (p + 1) * B / P) of the
  global batch of B.

  Args:
    source: the examples.
    options: batch size, form of the input, augmentation, threads and workers.
    seed: of order and augmentation.
    start_step: steps to leave out; the stream goes on as if they had been taken.
    process_index: p.
    process_count: P.
    bad: where examples that cannot be decoded are counted.

  Returns:
    Batches {"image": float32 (B/P, *options.input_shape), normalised (a signal goes by
    that name too), "label": int32 (B/P,), "position": uint32 (B/P,), the global
    position}.

  Raises:
    UserError: if the options contradict each other, or, while iterating, naming
      a file that cannot be read or the bad example that is one too many.
  """
  rows = _rows(options.batch_size, process_count, "batch_size")
  form = _form(options)
  form.check(options)
  # Seeds of their own, not Grain's derived ones: those follow from the place in the
  # pipeline, and a stage more would change every order. Grain adds the epoch to the
  # seed of the order, so neighbouring seeds must not be close there.
  order_seed, augmentation_seed = np.random.SeedSequence(seed).generate_state(2)
  dataset = (
    grain.MapDataset.source(form.Examples(source, options))
    .shuffle(seed=int(order_seed))
    .repeat()
    .random_map(form.Augment(source, options), seed=int(augmentation_seed))
    .batch(rows, batch_fn=form.Collate(options))
    .map_with_index(_add_positions)
  )
  shard = dataset[start_step * process_count + process_index :: process_count]
  return _start(shard, options, bad)


def evaluation_batches(
  source: Source,
  options: Data,
  *,
  process_index: int = 0,
  process_count: int = 1,
  bad: BadExamples | None = None,
) -> Batches:
  """Returns this process's batches of one pass, each example exactly once.

  All processes get the same number of batches. What is missing to the last whole
  batch, and what cannot be decoded, is zeros with a mask of 0.

  Returns:
    As `training_batches`, with "mask": float32 (B/P,) and batches of
    `evaluation_batch_size`.

  Raises:
    UserError: as `training_batches`.
  """
  batch_size = options.evaluation_batch_size
  rows = _rows(batch_size, process_count, "evaluation_batch_size")
  form = _form(options)
  form.check(options)
  padded = -(-len(source) // batch_size) * batch_size
  dataset = (
    grain.MapDataset.range(padded)
    .map(form.Evaluate(source, options))
    .batch(rows, batch_fn=form.Collate(options))
    .map_with_index(_add_positions)
  )
  return _start(dataset[process_index::process_count], options, bad)


def evaluation_inputs(
  source: Source, options: Data, positions: Sequence[int]
) -> list[np.ndarray]:
  """Examples as evaluation sees them, for pages that show them.

  Args:
    source: the examples.
    options: form of the input.
    positions: indices into the source.

  Returns:
    For each an image before normalisation, uint8 (size, size, channels), or a
    normalised signal, float32 (length, channels).
  """
  form = _form(options)
  prepare = form.Evaluate(source, options)
  return [prepare(position)[form.FIELD] for position in positions]


def load_file(path: str | os.PathLike, options: Data) -> np.ndarray:
  """Reads one file, an image or a sound, and prepares it exactly as evaluation does.

  Returns:
    float32 of shape `options.input_shape`, normalised.

  Raises:
    FileError: if the file cannot be read, or is not of the kind of the options.
    UserError: if the network takes no files of any kind.
  """
  form = _form(options)
  form.check(options)
  return form.load(path, options)


def _form(options: Data) -> types.ModuleType:
  """The module that knows what becomes of one example: `images` or `signals`."""
  return signals if isinstance(options, SignalOptions) else images


def _rows(batch_size: int, process_count: int, name: str) -> int:
  if batch_size < 1 or batch_size % process_count:
    raise UserError(
      f"data.{name}={batch_size} must be a positive multiple of the number of "
      f"processes, {process_count}."
    )
  return batch_size // process_count


def _start(
  dataset: grain.MapDataset, options: Data, bad: BadExamples | None
) -> Batches:
  threads = max(1, options.threads)
  reading = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads + 2)
  stream = dataset.to_iter_dataset(reading)
  if options.workers:
    # Grain's workers read absl flags, which notebooks and tests never parse.
    if not flags.FLAGS.is_parsed():
      flags.FLAGS.mark_as_parsed()
    stream = stream.mp_prefetch(grain.MultiprocessingOptions(options.workers))
  return Batches(stream, bad or BadExamples(options.maximum_bad_examples))


def _add_positions(index: int, batch: Batch) -> Batch:
  rows = len(batch["label"])
  positions = np.arange(index * rows, (index + 1) * rows, dtype=np.int64)
  return batch | {"position": positions.astype(np.uint32)}
