"""Where examples come from: prepared TFDS data sets and folders of images.

A source is a sequence of examples: {"image": encoded bytes, "label": int}, or the
samples of a signal as "signal". TFDS is imported only when a prepared data set is
opened, TensorFlow never.
"""

import json
import os
import pathlib
import re
from typing import Any, Protocol

from neural_epitome.codec import nearest
from neural_epitome.data.folders import FolderSource
from neural_epitome.data.options import Data
from neural_epitome.errors import UserError

EMBEDDED_DIR = pathlib.Path(__file__).parent / "embedded"
EMBEDDED_NAME = "fashion_mnist_subset"


class Source(Protocol):
  """A sequence of examples in a fixed order; picklable.

  Attributes:
    classes: the name of each label.
    kind: "image" or "signal", the key of its examples beside "label".
  """

  classes: tuple[str, ...]
  kind: str

  def __len__(self) -> int:
    """Number of examples."""
    ...

  def __getitem__(self, index: int) -> dict[str, Any]:
    """An example.

    {"image": encoded bytes or uint8 (H, W, C), "label": int}, or {"signal": int16 or
    float32 (samples, channels), "label": int}.
    """
    ...

  def describe(self, index: int) -> str:
    """How to find the example, for a message to the user."""
    ...


def open_source(options: Data, split: str) -> Source:
  """Opens one split of `options.dataset`.

  A prepared TFDS data set of that name in `options.data_dir` comes first, then a
  folder. A folder with dataset_info.json is itself a prepared data set; any other
  holds one folder of images a class (see `folders.FolderSource`).

  Args:
    options: says which data set.
    split: name of the split, slices and sums included: `train`, `train[:90%]`,
      `test[100:]`, `fold_1+fold_2`.

  Raises:
    UserError: if the data set is absent, prepared in another form, not of the kind
      that the options speak of, has no such split, or the split is empty.
  """
  source = _open(options, split)
  if source.kind != options.kind:
    raise UserError(
      f"Data set {options.dataset!r} holds {source.kind}s, and this experiment reads "
      f"{options.kind}s (its config.data says how)."
    )
  return source


def _open(options: Data, split: str) -> Source:
  if options.dataset == "embedded":
    directory = find_prepared(EMBEDDED_NAME, EMBEDDED_DIR)
    if directory is None:
      raise UserError(f"{EMBEDDED_DIR} is incomplete: install the package anew.")
    return PreparedSource(directory, split)
  folder = pathlib.Path(options.dataset).expanduser()
  if (folder / "dataset_info.json").is_file():
    return PreparedSource(folder, split)
  root = data_directory(options.data_dir)
  if (directory := find_prepared(options.dataset, root)) is not None:
    return PreparedSource(directory, split)
  if folder.is_dir():
    return FolderSource(folder, split)
  raise UserError(
    f"Data set {options.dataset!r} is neither a folder nor prepared in {root}. "
    f"Prepare it with: {prepare_command(options.dataset, root)}"
  )


def data_directory(data_dir: str | None) -> pathlib.Path:
  """The directory of prepared data sets; TFDS's own default where None is given.

  Raises:
    UserError: if it is an address: array_record reads files.
  """
  default = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
  chosen = data_dir or default
  if "://" in chosen:
    raise UserError(
      f"data_dir={chosen} is an address; mount it as a folder (a bucket with gcsfuse)."
    )
  return pathlib.Path(chosen).expanduser()


def prepare_command(dataset: str, root: pathlib.Path) -> str:
  """The command that prepares `dataset` in `root`."""
  recipe, _, original = dataset.partition("_")
  if recipe == "cluttered":
    dataset = f"{recipe} --dataset={original}"
  return f"python -m neural_epitome.data.prepare {dataset} --data_dir={root}"


def find_prepared(dataset: str, root: pathlib.Path) -> pathlib.Path | None:
  """Finds the newest prepared version of `name[/config][:version]`, or None.

  TFDS itself would go to the network for a data set that is not there and try
  again for most of a minute.

  Raises:
    UserError: if the name leaves open which of several configs is meant.
  """
  name, _, version = dataset.partition(":")
  if not re.fullmatch(r"\w+(/[\w.\-]+)?", name):
    return None
  found = _versions(root / name, version)
  if not found and "/" not in name:
    configs = {
      path.name: versions
      for path in (sorted((root / name).iterdir()) if (root / name).is_dir() else ())
      if (versions := _versions(path, version))
    }
    if len(configs) > 1:
      known = ", ".join(f"{name}/{config}" for config in configs)
      raise UserError(f"{dataset!r} has several configs; name one of {known}.")
    found = next(iter(configs.values()), [])
  return max(found, default=None, key=_version_number)


def _versions(folder: pathlib.Path, version: str) -> list[pathlib.Path]:
  if not folder.is_dir():
    return []
  return [
    path
    for path in folder.iterdir()
    if re.fullmatch(r"\d+\.\d+\.\d+", path.name)
    and version in ("", path.name)
    and (path / "dataset_info.json").is_file()
  ]


def _version_number(path: pathlib.Path) -> tuple[int, ...]:
  return tuple(map(int, path.name.split(".")))


class PreparedSource:
  """A split of a prepared TFDS directory of array_record files."""

  def __init__(self, directory: pathlib.Path, split: str):
    """Opens `split`, slices included, of the prepared `directory`.

    Raises:
      UserError: if the files are not array_record, the data set has no image or
        signal with a label, there is no such split, or it is empty.
    """
    _check_format(directory)
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(directory))
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
    except (ValueError, AssertionError, FileNotFoundError) as error:
      if isinstance(error, UserError):
        raise
      raise UserError(
        f"Split {split!r} of {directory} cannot be read: {error}"
      ) from error

  def __len__(self) -> int:
    return len(self._data)

  def __getitem__(self, index: int) -> dict[str, Any]:
    example = self._data[index]
    return {self.kind: example[self._input], "label": int(example[self._label])}

  def describe(self, index: int) -> str:
    """How to find the example, for a message to the user."""
    return f"example {index} of {self._name} {self._split}"


def _check_format(directory: pathlib.Path) -> None:
  try:
    info = json.loads((directory / "dataset_info.json").read_text())
  except (OSError, json.JSONDecodeError) as error:
    raise UserError(f"{directory}/dataset_info.json is broken: {error}") from error
  found = info.get("fileFormat", "tfrecord")
  if found != "array_record":
    raise UserError(
      f"{directory} is prepared as {found}, which cannot be read in random order. "
      "Convert it with: python -m neural_epitome.data.prepare convert "
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
