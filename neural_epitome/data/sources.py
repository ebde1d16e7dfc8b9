"""Where examples come from: prepared TFDS data sets and folders of images.

A source is a sequence of examples: {"image": encoded bytes, "label": int}, or the
samples of a signal as "signal".
"""

import os
import pathlib
import re
from typing import Any, Protocol

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
