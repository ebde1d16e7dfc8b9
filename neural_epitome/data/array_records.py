"""Prepared TFDS directories of array_record files, written without TensorFlow.

TFDS needs TensorFlow to encode raw pixels, but not to store pictures that are encoded
already. The result is an ordinary prepared directory.
"""

import io
import json
import pathlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from neural_epitome.errors import UserError

# Encoded value and label of every example, by split.
Splits = Mapping[str, Iterable[tuple[Any, int]]]


def write_prepared(
  data_dir: str | pathlib.Path,
  name: str,
  splits: Mapping[str, Iterable[tuple[bytes, int]]],
  classes: Iterable[str],
  *,
  shape: tuple[int | None, int | None, int] = (None, None, 3),
  version: str = "1.0.0",
  encoding: str = "png",
  description: str = "",
  citation: str = "",
) -> pathlib.Path:
  """Writes `data_dir/name/version`, a prepared TFDS directory of array_record files.

  Args:
    data_dir: directory of prepared data sets; made if it does not exist.
    name: of the data set, in snake_case.
    splits: (encoded image, label) of every example, by split.
    classes: class names in the order of the labels.
    shape: (height, width, channels) of the images, None for what differs among them.
    version: `major.minor.patch`.
    encoding: "png" or "jpeg", the form of the encoded images.
    description: one paragraph kept with the data.
    citation: BibTeX kept with the data.

  Returns:
    The prepared directory.

  Raises:
    UserError: if it exists already.
  """

  def feature(tfds: Any) -> Any:
    return tfds.features.Image(shape=shape, encoding_format=encoding)

  encoded: Splits = {
    split: ((io.BytesIO(image), label) for image, label in rows)
    for split, rows in splits.items()
  }
  about = {"version": version, "description": description, "citation": citation}
  return _write(data_dir, name, encoded, classes, "image", feature, **about)


def write_prepared_signals(
  data_dir: str | pathlib.Path,
  name: str,
  splits: Mapping[str, Iterable[tuple[np.ndarray, int]]],
  classes: Iterable[str],
  *,
  dtype: type[np.int16] | type[np.float32] = np.int16,
  channels: int = 1,
  version: str = "1.0.0",
  description: str = "",
  citation: str = "",
) -> pathlib.Path:
  """Writes `data_dir/name/version`, a prepared TFDS directory of signals.

  They are the feature `signal`, a zlib-compressed tensor: TFDS's own audio feature
  needs TensorFlow.

  Args:
    data_dir: as in `write_prepared`.
    name: likewise.
    splits: (signal, label) of every example, by split; signals have the shape
      (samples, channels) and type `dtype`, with any number of samples.
    classes: as in `write_prepared`.
    dtype: of the samples.
    channels: of every signal.
    version: as in `write_prepared`.
    description: likewise.
    citation: likewise.

  Returns:
    The prepared directory.

  Raises:
    UserError: if it exists already.
  """

  def feature(tfds: Any) -> Any:
    return tfds.features.Tensor(shape=(None, channels), dtype=dtype, encoding="zlib")

  about = {"version": version, "description": description, "citation": citation}
  return _write(data_dir, name, splits, classes, "signal", feature, **about)


def _write(
  data_dir: str | pathlib.Path,
  name: str,
  splits: Splits,
  classes: Iterable[str],
  key: str,
  feature: Callable[[Any], Any],
  *,
  version: str,
  description: str,
  citation: str,
) -> pathlib.Path:
  """Writes examples whose input is the feature `key`, made by `feature(tfds)`."""
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core import registered

  target = pathlib.Path(data_dir).expanduser() / name / version
  if target.exists():
    raise UserError(f"{target} exists already; remove it to prepare it anew.")

  # TFDS keeps a registry of builders by name, where its own `fashion_mnist` is.
  with registered.skip_registration():

    class Prepared(tfds.core.GeneratorBasedBuilder):
      VERSION = tfds.core.Version(version)
      # TFDS declares its own class of paths, and takes any.
      pkg_dir_path: Any = pathlib.Path(__file__).parent

      def _info(self):
        features = {
          key: feature(tfds),
          "label": tfds.features.ClassLabel(names=list(classes)),
        }
        return tfds.core.DatasetInfo(
          builder=self,
          description=description or name,
          citation=citation,
          features=tfds.features.FeaturesDict(features),
          supervised_keys=(key, "label"),
        )

      def _split_generators(self, manager):
        return {split: self._generate_examples(rows) for split, rows in splits.items()}

      def _generate_examples(self, rows) -> Iterator:
        for position, (value, label) in enumerate(rows):
          yield position, {key: value, "label": int(label)}

  Prepared.name, Prepared.__module__ = name, __name__
  Prepared(data_dir=str(data_dir), file_format="array_record").download_and_prepare()
  return target


def convert_to_array_record(
  from_dir: str | pathlib.Path, data_dir: str | pathlib.Path
) -> pathlib.Path:
  """Rewrites a directory that TFDS prepared as tfrecord, record by record.

  Args:
    from_dir: the prepared directory, `.../name/[config/]version`.
    data_dir: directory of prepared data sets to write to.

  Returns:
    The new prepared directory, `data_dir/name/[config/]version`.

  Raises:
    UserError: if `from_dir` holds no tfrecord files, a file is truncated, or the
      target exists.
  """
  # Compiled, without type stubs.
  from array_record.python import (
    array_record_module,  # pyright: ignore[reportAttributeAccessIssue]
  )

  source = pathlib.Path(from_dir).expanduser()
  files = sorted(source.glob("*.tfrecord*"))
  if not files or not (source / "dataset_info.json").is_file():
    raise UserError(f"{source} is no directory that TFDS prepared as tfrecord.")
  info = json.loads((source / "dataset_info.json").read_text())
  target = (
    pathlib.Path(data_dir)
    .expanduser()
    .joinpath(info["name"], info.get("configName", ""), info["version"])
  )
  if target.exists():
    raise UserError(f"{target} exists already; remove it to convert anew.")
  # Made under another name, so that an interrupted conversion is never read.
  partial = target.with_name(f"incomplete.{target.name}")
  shutil.rmtree(partial, ignore_errors=True)
  partial.mkdir(parents=True)
  for path in source.iterdir():
    if path.is_file() and path not in files:
      shutil.copyfile(path, partial / path.name)
  for path in files:
    new = partial / path.name.replace(".tfrecord", ".array_record")
    # TFDS reads single records: each is its own compressed group.
    writer = array_record_module.ArrayRecordWriter(str(new), "group_size:1")
    for record in read_tfrecord(path):
      writer.write(record)
    writer.close()
  info["fileFormat"] = "array_record"
  (partial / "dataset_info.json").write_text(json.dumps(info, indent=2))
  partial.rename(target)
  return target


def read_tfrecord(path: pathlib.Path) -> Iterator[bytes]:
  """Yields the records of a tfrecord file; checksums are not verified.

  Raises:
    UserError: if the file ends within a record.
  """
  with open(path, "rb") as file:
    while header := file.read(12):  # length and its checksum
      length = int.from_bytes(header[:8], "little")
      record = file.read(length)
      if len(header) < 12 or len(record) < length or len(file.read(4)) < 4:
        raise UserError(f"{path} is truncated; prepare the data set anew.")
      yield record
