"""Files named on the command line: one by one, by commas, patterns or folders."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from neural_epitome.data import folder_tree
from neural_epitome.errors import UserError

# What soundfile reads, by the ends of names.
_SOUND_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif")


def find(named: Sequence[str], kind: str) -> list[Path]:
  """Finds the named files, each once, in the order of the names.

  Args:
    named: files, folders (all files of the kind below them), patterns (`*`, `?`, `**`),
      or several of these joined by commas. A path that exists is taken literally, even
      if it holds commas or pattern characters.
    kind: of the files in a folder, `image` or `signal`.

  Raises:
    UserError: naming what does not exist, matches nothing or holds no such file.
  """
  files: dict[Path, None] = {}
  for text in named:
    for name in _parts(text):
      files |= dict.fromkeys(_files(name, kind))
  return [*files]


def _parts(text: str) -> Iterator[str]:
  """The names in a text, of which each takes as many commas as it exists with."""
  pieces = text.split(",")
  while pieces:
    end = next(
      (n for n in range(len(pieces), 1, -1) if _exists(",".join(pieces[:n]))), 1
    )
    if name := ",".join(pieces[:end]):
      yield name
    pieces = pieces[end:]


def _exists(name: str) -> bool:
  return Path(name).expanduser().exists()


def _files(name: str, kind: str) -> list[Path]:
  path = Path(name).expanduser()
  if path.is_dir():
    inside = [Path(entry.path) for entry in folder_tree.files(path)]
    files = [file for file in inside if _is_of_kind(file.name, kind)]
    if not files:
      raise UserError(f"--images={name} is a folder with no {kind}s in it.")
    return files
  if path.exists() or not glob.has_magic(name):
    return [path]  # whoever reads it says if it is absent
  matches = sorted(glob.glob(os.fspath(path), recursive=True))
  if not matches:
    raise UserError(f"--images={name} matches no file.")
  return [Path(match) for match in matches if not Path(match).is_dir()]


def _is_of_kind(name: str, kind: str) -> bool:
  if kind == "signal":
    return name.lower().endswith(_SOUND_SUFFIXES)
  return folder_tree.is_image(name)
