"""Folders of images as people have them: which are splits, classes or neither."""

import os
import pathlib
from collections import Counter
from collections.abc import Iterator, Sequence

from neural_epitome.data.classes import normal
from neural_epitome.errors import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
TRAIN = ("train", "training")
TEST = ("test", "val", "validation", "valid", "testing")

# What systems leave beside pictures: ignored without a message.
_LEFT_BY_SYSTEMS = {
  "__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found",
  "thumbs.db", "ehthumbs.db", "desktop.ini",
}  # fmt: skip


def printable(name: str) -> str:
  r"""The name of a file as text; bytes that are not UTF-8 are written as `\xe9`."""
  return normal(
    name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
  )


def scan(folder: str | os.PathLike) -> list[os.DirEntry]:
  """The entries of a folder, sorted by name, without what systems leave there.

  Raises:
    UserError: if it cannot be read.
  """
  try:
    with os.scandir(folder) as entries:
      kept = [entry for entry in entries if not _is_left_by_system(entry.name)]
  except OSError as error:
    raise UserError(
      f"{printable(os.fspath(folder))} cannot be read: {error.strerror}."
    ) from None
  return sorted(kept, key=lambda entry: entry.name)


def _is_left_by_system(name: str) -> bool:
  return name.startswith(".") or name.lower() in _LEFT_BY_SYSTEMS


def subfolders(folder: str | os.PathLike) -> list[os.DirEntry]:
  """The folders in a folder, sorted by name. Raises UserError as `scan`."""
  return [entry for entry in scan(folder) if entry.is_dir()]


def files(folder: str | os.PathLike) -> Iterator[os.DirEntry]:
  """All files at any depth below a folder; links to folders are not followed.

  Raises:
    UserError: as `scan`.
  """
  for entry in scan(folder):
    if entry.is_dir(follow_symlinks=False):
      yield from files(entry.path)
    elif entry.is_file():
      yield entry


def is_image(name: str) -> bool:
  """Whether a file is read as an image: by the suffix of its name."""
  return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def has_images(folder: str | os.PathLike) -> bool:
  """Whether there is an image at any depth below a folder."""
  return any(is_image(entry.name) for entry in files(folder))


def unwrapped(folder: pathlib.Path, *, of_split: bool = False) -> pathlib.Path:
  """The folder that holds classes or splits: this one, or the only one in it.

  Archives often unpack into a folder of their own: `photos/photos/cat/1.jpg`.

  Args:
    folder: where to start.
    of_split: whether `folder` is a split. A single folder in it is then entered even
      if it has the name of a split, which otherwise ends the descent.

  Raises:
    UserError: as `scan`.
  """
  while True:
    entries = scan(folder)
    inside = [entry for entry in entries if entry.is_dir()]
    is_wrapper = len(inside) == 1 and not any(is_image(e.name) for e in entries)
    if not is_wrapper or not subfolders(inside[0]):
      return folder
    if not of_split and _split_name(inside[0]):
      return folder
    folder = folder / inside[0].name


def _split_name(entry: os.DirEntry) -> str | None:
  """What a folder is called if it is a split: it then holds folders of its own."""
  name = entry.name.lower()
  return name if name in TRAIN + TEST and subfolders(entry.path) else None


def split_folders(folder: pathlib.Path) -> dict[str, pathlib.Path]:
  """The folders of splits in a folder, by their names in lower case.

  Raises:
    UserError: if two names differ only in case, or the splits hold images that are not
      in class folders.
  """
  splits: dict[str, pathlib.Path] = {}
  inside = subfolders(folder)
  for entry in inside:
    if name := _split_name(entry):
      if name in splits:
        raise UserError(
          f"{folder} has both {splits[name].name}/ and {entry.name}/; leave one."
        )
      splits[name] = folder / entry.name
  if (
    inside
    and all(entry.name.lower() in TRAIN + TEST for entry in inside)
    and not splits
  ):
    raise UserError(
      f"{folder / inside[0].name} has no class folders: put each class's images in one."
    )
  return splits


def suffixes(names: Sequence[str]) -> str:
  """How many files have each suffix, in words, the six most frequent first."""
  counts = Counter(os.path.splitext(name)[1].lower() or "none" for name in names)
  return ", ".join(f"{printable(suffix)} {n}" for suffix, n in counts.most_common(6))
