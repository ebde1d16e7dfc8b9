"""Where examples come from: prepared TFDS data sets and folders of images.

A source is a sequence of examples: {"image": encoded bytes, "label": int}, or the
samples of a signal as "signal".
"""

import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any, Protocol

from neural_epitome.data import classes as class_lists
from neural_epitome.data.folders import FolderSource
from neural_epitome.data.options import Data
from neural_epitome.data.prepared import PreparedSource
from neural_epitome.errors import UserError

EMBEDDED_DIR = pathlib.Path(__file__).parent / "embedded"
EMBEDDED_NAME = "fashion_mnist_subset"


class Source(Protocol):
  """A sequence of examples in a fixed order; picklable.

  Attributes:
    classes: the name of each label.
    kind: "image" or "signal": the key of the input in its examples.
    notes: sentences for the user on how it was read, such as what was left out.
  """

  classes: tuple[str, ...]
  kind: str
  notes: tuple[str, ...]

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
    """Where to find an example, in words for a message to the user."""
    ...

  def digest(self) -> str:
    """A hash of the names and sizes of files; a copy elsewhere has the same."""
    ...


class Relabelled:
  """A source whose labels are those of a network; see `Source`."""

  def __init__(self, source: Source, labels: tuple[int, ...], classes: tuple[str, ...]):
    """Wraps a source.

    Args:
      source: the examples.
      labels: the network's label for each label of the source.
      classes: the network's class names, by label.
    """
    self.source, self.labels, self.classes = source, labels, classes
    self.kind, self.notes = source.kind, source.notes

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, index: int) -> dict[str, Any]:
    example = self.source[index]
    return {**example, "label": self.labels[example["label"]]}

  def describe(self, index: int) -> str:
    """See `Source`."""
    return self.source.describe(index)

  def digest(self) -> str:
    """See `Source`."""
    return self.source.digest()


def relabelled(source: Source, classes: Sequence[str], of: str) -> Source:
  """The source with the labels of a network, matched by class name.

  Args:
    source: the examples.
    classes: the network's class names, by label; the data may lack some of them.
    of: what the network is called in an error.

  Raises:
    UserError: if the data have a class that the network does not have.
  """
  labels = class_lists.labels(classes, source.classes)
  if labels is None:
    words = class_lists.difference(classes, source.classes)
    raise UserError(
      f"The data have other classes than {of}: {words} (there: {of}, here: the data). "
      "Name its own data with --dataset, or train on these."
    )
  if labels == tuple(range(len(classes))):
    return source
  return Relabelled(source, labels, tuple(classes))


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
    UserError: if the data set is absent, prepared in another form or of another kind
      than the options, or the split does not exist or is empty.
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
  """The directory of prepared data sets; None gives TFDS's own default.

  Raises:
    UserError: if it is an address such as gs://bucket: array_record reads files.
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
    UserError: if the data set has several configs and the name gives none.
  """
  name, _, version = dataset.partition(":")
  if not re.fullmatch(r"\w+(/[\w.\-]+)?", name):
    return None
  versions = _versions(root / name, version)
  if not versions and "/" not in name:
    configs = {
      path.name: versions
      for path in (sorted((root / name).iterdir()) if (root / name).is_dir() else ())
      if (versions := _versions(path, version))
    }
    if len(configs) > 1:
      known = ", ".join(f"{name}/{config}" for config in configs)
      raise UserError(f"{dataset!r} has several configs; name one of {known}.")
    versions = next(iter(configs.values()), [])
  return max(versions, default=None, key=_version_number)


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
