"""A folder of class folders of images as a source of examples."""

import dataclasses
import hashlib
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from neural_epitome.data import folder_tree
from neural_epitome.data.folder_tree import printable
from neural_epitome.errors import UserError

_TEST_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class _File:
  path: str
  place: str  # within the folder that holds the classes
  label: int

  @property
  def fraction(self) -> float:
    """In [0, 1), hashed from the place."""
    name = self.place.encode("utf-8", "surrogateescape")
    digest = hashlib.sha1(name, usedforsecurity=False).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


class FolderSource:
  """A folder that holds one folder of images a class, at any depth below it.

  With `train/` (or `training/`) and `test/` (or `val/`, `validation/`, `valid/`,
  `testing/`) inside, in upper or lower case, these are the splits. Otherwise a tenth
  of the images is the test split: those whose path within the folder hashes below 0.1,
  so that an image stays where it is as others come and go. The order is that of the
  hashes too, which makes any slice (`train[:90%]`) a fair sample.

  A class is a folder with an image in it. What systems and archives leave (`.DS_Store`,
  `__MACOSX`, one folder around everything) is ignored; other files that are not read
  are counted in `notes`.
  """

  kind = "image"

  def __init__(self, folder: pathlib.Path, split: str):
    """Lists the images of `split`, slices included.

    Raises:
      UserError: if there are no class folders or images, no such split, it is
        empty, or a folder cannot be read.
    """
    match = re.fullmatch(r"(\w+)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?", split)
    split_name = match[1].lower() if match else ""
    if not match or split_name not in folder_tree.TRAIN + folder_tree.TEST:
      raise UserError(
        f"Split {split!r} of a folder must be train or test, with a slice as in "
        "train[:90%] if need be."
      )
    root = folder_tree.unwrapped(folder)
    train, test = _splits(root, split_name)
    is_test = split_name in folder_tree.TEST
    if train is None and test and not is_test:
      raise UserError(
        f"{root} has {test.name}/ and no train/: there is nothing to train on."
      )
    base = train or test or root
    self.classes, empty = _classes(base)
    own = test if test and is_test else base
    chosen, self.notes = _list(own, self.classes)
    if empty:
      names = ", ".join(map(repr, empty[:5])) + (" ..." if len(empty) > 5 else "")
      self.notes += (
        f"{base} has folders without images, which are no classes: {names}.",
      )
    if train and not test and (flat := _flat(root)):
      self.notes += (
        f"{flat} has no class folders and is not read: a tenth of {base} is the test "
        "split.",
      )
    if not (train and test) and base != test:
      chosen = [file for file in chosen if (file.fraction < _TEST_SHARE) == is_test]
    ordered = sorted(chosen, key=lambda file: (file.fraction, file.path))
    start, stop = (_position(text, len(ordered)) for text in match.groups()[1:])
    self._files = ordered[slice(start, stop)]
    if not self._files:
      raise UserError(
        f"Split {split!r} of {folder} is empty; it needs images "
        f"({', '.join(folder_tree.IMAGE_SUFFIXES)}) in one folder a class."
      )

  def __len__(self) -> int:
    return len(self._files)

  def __getitem__(self, index: int) -> dict[str, Any]:
    file = self._files[index]
    try:
      data = pathlib.Path(file.path).read_bytes()
    except FileNotFoundError:
      raise UserError(
        f"{printable(file.path)} is gone since the folder was listed: it changed while "
        "it was read. Restore it, and the same command resumes."
      ) from None
    except OSError as error:
      raise UserError(
        f"{printable(file.path)} cannot be read: {error.strerror}."
      ) from error
    return {"image": data, "label": file.label}

  def describe(self, index: int) -> str:
    """How to find the example, for a message to the user."""
    return printable(self._files[index].path)

  def digest(self) -> str:
    """See `Source`: of the paths in the folder and the sizes of the files."""
    total = hashlib.sha256("\n".join(self.classes).encode())
    for file in self._files:
      try:
        size = os.stat(file.path).st_size
      except OSError:
        size = -1  # whoever reads it says so
      line = f"\n{size} {file.place}"
      total.update(line.encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _splits(
  root: pathlib.Path, split: str
) -> tuple[pathlib.Path | None, pathlib.Path | None]:
  """The folders of the training and of the test split, each None if there is none."""
  splits = folder_tree.split_folders(root)
  # Where there are both val/ and test/, the one that was asked for.
  names = (split, *folder_tree.TEST) if split in folder_tree.TEST else folder_tree.TEST
  train = next((splits[n] for n in folder_tree.TRAIN if n in splits), None)
  test = next((splits[n] for n in names if n in splits), None)
  others = [
    e.name for e in folder_tree.subfolders(root) if e.name.lower() not in splits
  ]
  if test and not train and any(folder_tree.has_images(root / name) for name in others):
    raise UserError(
      f"{root} has {test.name}/ beside {printable(others[0])}/ and no train/: put the "
      "class folders of the training split into train/."
    )
  return (
    folder_tree.unwrapped(train, of_split=True) if train else None,
    folder_tree.unwrapped(test, of_split=True) if test else None,
  )


def _flat(root: pathlib.Path) -> pathlib.Path | None:
  """A folder named as a test split whose images are in no class folders."""
  for entry in folder_tree.subfolders(root):
    if entry.name.lower() in folder_tree.TEST:
      return root / entry.name
  return None


def _classes(root: pathlib.Path) -> tuple[tuple[str, ...], list[str]]:
  """Names of the class folders with images, and of those without."""
  folders = [entry.name for entry in folder_tree.subfolders(root)]
  if not folders:
    raise UserError(f"{root} has no class folders: put each class's images in one.")
  classes, empty = [], []
  for name in folders:
    is_class = folder_tree.has_images(root / name)
    (classes if is_class else empty).append(printable(name))
  if len(set(classes)) < len(classes):
    twice = next(name for name in classes if classes.count(name) > 1)
    raise UserError(f"{root} has two folders that are both called {twice!r}.")
  return tuple(sorted(classes)), sorted(empty)


def _list(
  root: pathlib.Path, classes: Sequence[str]
) -> tuple[list[_File], tuple[str, ...]]:
  """All images below `root`, and sentences about what is left out."""
  labels = {name: label for label, name in enumerate(classes)}
  prefix = os.path.join(os.fspath(root), "")
  chosen, left_out, loose = [], [], 0
  for entry in folder_tree.scan(root):
    if not entry.is_dir():
      is_image = folder_tree.is_image(entry.name)
      loose += is_image
      left_out += [] if is_image else [entry.name]
      continue
    label = labels.get(printable(entry.name))
    for file in folder_tree.files(entry.path):
      if not folder_tree.is_image(file.name):
        left_out.append(file.name)
        continue
      if label is None:
        raise UserError(
          f"{root / printable(entry.name)} is a class that the training split lacks."
        )
      place = file.path[len(prefix) :].replace(os.sep, "/")
      chosen.append(_File(file.path, place, label))
  notes = []
  if left_out:
    counts = folder_tree.suffixes(left_out)
    notes.append(f"{root}: {len(left_out)} files are not read as images ({counts}).")
  if loose:
    notes.append(
      f"{root}: {loose} images lie beside the class folders and are left out."
    )
  return chosen, tuple(notes)


def _position(text: str | None, count: int) -> int | None:
  """An end of a slice in examples; a percentage is rounded as TFDS rounds it."""
  if text is None:
    return None
  if not text.endswith("%"):
    return int(text)
  position = round(np.clip(float(text[:-1]), -100, 100) / 100 * count)
  return int(position)
