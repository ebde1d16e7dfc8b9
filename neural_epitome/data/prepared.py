"""A prepared TFDS data set as a source of examples.

TFDS is imported only when one is opened, TensorFlow never.
"""

import bisect
import hashlib
import itertools
import json
import os
import pathlib
from typing import Any

from neural_epitome.codec import nearest
from neural_epitome.errors import UserError


class PreparedSource:
  """A split of a prepared TFDS directory of array_record files."""

  notes: tuple[str, ...] = ()

  def __init__(self, directory: pathlib.Path, split: str):
    """Opens `split`, slices included, of the prepared `directory`.

    Raises:
      UserError: if the files are not array_record, the data set has no image or
        signal with a label, there is no such split, it is empty, or a file is
        missing.
    """
    _check_format(directory)
    import tensorflow_datasets as tfds

    # TFDS's annotations leave out what its decorators change.
    builder: Any = tfds.builder_from_directory(str(directory))
    self._name, self._split = builder.info.name, split
    self.kind, self._input, self._label = _feature_names(builder.info)
    self.classes = tuple(builder.info.features[self._label].names)
    for base in (part.partition("[")[0].strip() for part in split.split("+")):
      if base not in builder.info.splits:
        raise UserError(
          f"{self._name} has no split {base!r}.{nearest(base, builder.info.splits)}"
        )
    is_image = self.kind == "image"
    skip = {self._input: tfds.decode.SkipDecoding()} if is_image else None
    try:
      count = builder.info.splits[split].num_examples
      if not count:
        raise UserError(f"Split {split!r} of {self._name} is empty.")
      self._data = builder.as_data_source(split, decoders=skip)
      files = builder.info.splits[split].file_instructions
    except (ValueError, AssertionError, FileNotFoundError) as error:
      if isinstance(error, UserError):
        raise
      raise UserError(
        f"Split {split!r} of {directory} cannot be read: {error}"
      ) from error
    self._files = tuple(str(file.filename) for file in files)
    self._ends = tuple(itertools.accumulate(file.take for file in files))
    present = {entry.name for entry in os.scandir(directory)}
    for path in self._files:
      if os.path.basename(path) not in present:
        raise UserError(f"{path} is missing; copy or prepare the data set anew.")

  def __len__(self) -> int:
    return len(self._data)

  def __getitem__(self, index: int) -> dict[str, Any]:
    """See `Source`.

    Raises:
      UserError: naming the file, if it is truncated, or its checksums are wrong.
    """
    try:
      example = self._data[index]
    except RuntimeError as error:  # array_record's; it does not say which file
      path = self._files[bisect.bisect_right(self._ends, index)]
      raise UserError(
        f"{path} is truncated or damaged ({str(error).partition(';')[0]}); copy or "
        "prepare the data set anew."
      ) from error
    return {self.kind: example[self._input], "label": int(example[self._label])}

  def describe(self, index: int) -> str:
    """How to find the example, for a message to the user."""
    return f"example {index} of {self._name} {self._split}"

  def digest(self) -> str:
    """See `Source`: of the slice, and the names and sizes of its files."""
    names = [f"{os.path.basename(f)} {os.path.getsize(f)}" for f in self._files]
    text = "\n".join([f"{len(self)} of {self._split}", *self.classes, *names])
    return hashlib.sha256(text.encode()).hexdigest()


def _check_format(directory: pathlib.Path) -> None:
  try:
    info = json.loads((directory / "dataset_info.json").read_text())
  except (OSError, json.JSONDecodeError) as error:
    raise UserError(f"{directory}/dataset_info.json is broken: {error}") from error
  file_format = info.get("fileFormat", "tfrecord")
  if file_format != "array_record":
    raise UserError(
      f"{directory} is prepared as {file_format}, which cannot be read in random "
      "order. Convert it with: python -m neural_epitome.data.prepare convert "
      f"--from_dir={directory} --data_dir=NEW_DIR"
    )


def _feature_names(info: Any) -> tuple[str, str, str]:
  """The kind of the inputs, their feature and that of the labels."""
  import tensorflow_datasets as tfds

  features = info.features
  images = [k for k, v in features.items() if isinstance(v, tfds.features.Image)]
  labels = [k for k, v in features.items() if isinstance(v, tfds.features.ClassLabel)]
  if not images and "signal" in features and len(features["signal"].shape) == 2:
    kind, images = "signal", ["signal"]
  else:
    kind = "image"
  if not images or not labels:
    raise UserError(
      f"{info.name} has no image or signal with a class label: {dict(features)}."
    )
  image, label = images[0], labels[0]
  # Where there are several (cifar100's coarse labels), the data set says which.
  if info.supervised_keys and len(info.supervised_keys) == 2:
    if info.supervised_keys[0] in images:
      image = info.supervised_keys[0]
    if info.supervised_keys[1] in labels:
      label = info.supervised_keys[1]
  return kind, image, label
