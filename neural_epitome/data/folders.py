"""A folder of class folders of images as a source of examples."""

import dataclasses
import hashlib
import pathlib
import re
from typing import Any

import numpy as np

from neural_epitome.errors import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

_TRAIN_FOLDERS = ("train", "training")
_TEST_FOLDERS = ("test", "val", "validation", "valid")
_TEST_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class _File:
  path: str
  label: int


class FolderSource:
  """A folder that holds one folder of images a class, at any depth below it.

  With `train/` (or `training/`) and `test/` (or `val/`, `validation/`, `valid/`)
  inside, these are the splits. Otherwise a tenth of the images is the test split:
  those whose path within the folder hashes below 0.1, so that an image stays where
  it is as others come and go. The order is that of the hashes too, which makes any
  slice (`train[:90%]`) a fair sample.
  """

  kind = "image"

  def __init__(self, folder: pathlib.Path, split: str):
    """Lists the images of `split`, slices included.

    Raises:
      UserError: if there are no class folders or images, no such split, or it is
        empty.
    """
    match = re.fullmatch(r"(\w+)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?", split)
    if not match or match[1] not in _TRAIN_FOLDERS + _TEST_FOLDERS:
      raise UserError(
        f"Split {split!r} of a folder must be train or test, with a slice as in "
        "train[:90%] if need be."
      )
    is_test = match[1] in _TEST_FOLDERS
    train = _first_folder(folder, _TRAIN_FOLDERS)
    # Where there are both val/ and test/, the one that was asked for.
    names = (match[1], *_TEST_FOLDERS) if is_test else _TEST_FOLDERS
    test = _first_folder(folder, names) if train else None
    self.classes = _class_folders(train or folder)
    if train and test:
      files = _list_images(test if is_test else train, self.classes)
    else:
      files = _list_images(train or folder, self.classes)
      files = [file for file in files if (file[0] < _TEST_SHARE) == is_test]
    ordered = [file for _, file in sorted(files, key=lambda f: (f[0], f[1].path))]
    start, stop = (_position(text, len(ordered)) for text in match.groups()[1:])
    self._files = ordered[slice(start, stop)]
    if not self._files:
      raise UserError(
        f"Split {split!r} of {folder} is empty; it needs images "
        f"({', '.join(IMAGE_SUFFIXES)}) in one folder a class."
      )

  def __len__(self) -> int:
    return len(self._files)

  def __getitem__(self, index: int) -> dict[str, Any]:
    file = self._files[index]
    try:
      data = pathlib.Path(file.path).read_bytes()
    except OSError as error:
      raise UserError(f"{file.path} cannot be read: {error.strerror}.") from error
    return {"image": data, "label": file.label}

  def describe(self, index: int) -> str:
    """How to find the example, for a message to the user."""
    return self._files[index].path


def _first_folder(folder: pathlib.Path, names: tuple[str, ...]) -> pathlib.Path | None:
  return next((folder / name for name in names if (folder / name).is_dir()), None)


def _class_folders(root: pathlib.Path) -> tuple[str, ...]:
  names = sorted(
    path.name
    for path in root.iterdir()
    if path.is_dir() and not path.name.startswith(".")
  )
  if not names:
    raise UserError(f"{root} has no class folders: put each class's images in one.")
  return tuple(names)


def _list_images(
  root: pathlib.Path, classes: tuple[str, ...]
) -> list[tuple[float, _File]]:
  """All images below `root`, each with a fraction hashed from its path in `root`."""
  unknown = sorted(set(_class_folders(root)) - set(classes))
  if unknown:
    raise UserError(f"{root / unknown[0]} is a class that the training split lacks.")
  files = []
  for label, name in enumerate(classes):
    for path in (root / name).rglob("*"):
      if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
        place = path.relative_to(root).as_posix()
        digest = hashlib.sha1(place.encode(), usedforsecurity=False).digest()
        fraction = int.from_bytes(digest[:6], "big") / 2**48
        files.append((fraction, _File(str(path), label)))
  return files


def _position(text: str | None, count: int) -> int | None:
  """An end of a slice in examples; a percentage is rounded as TFDS rounds it."""
  if text is None:
    return None
  if not text.endswith("%"):
    return int(text)
  position = round(np.clip(float(text[:-1]), -100, 100) / 100 * count)
  return int(position)
