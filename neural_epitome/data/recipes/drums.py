"""Recorded drum sounds of the kits in Debian's package `hydrogen-drumkits`.

A sound is labelled by the name of its file, by the tables of `drum_labels`; the kits
are divided into folds, so that a network is asked about kits it never heard. Nothing
of the kits is part of this project; the package's copyright file says:

| kit | by | licence |
|---|---|---|
| Audiophob | soundcloud.com/audiophobdubstep | CC0 |
| BJA_Pacific | Luc Tunguay | CC-BY-SA-3.0-us |
| circAfrique v4 | Jim Harney | CC-BY-SA-3.0 |
| ColomboAcousticDrumkit | Marcos Guglielmetti | GPL-2+ with composition exception |
| ElectricEmpireKit, HardElectro1, VariBreaks | Artemiy Pavlov | GPL-2+ |
| ForzeeStereo | Vladimir Sadovnikov, Alexander Belokurov | GPL-2 |
| Gimme A Hand 1.0, The Black Pearl 1.0 | Glen MacArthur | GPL-2 |
| Millo-Drums_v.1, Millo_MultiLayered2 and 3 | Emiliano Grilli | GPL-2 |
| rumpf_kit_z01_h2 (left out: its file names say no instrument) | E. Rumpf | CC-BY-3.0 |
"""

import argparse
import collections
import pathlib
import sys
from collections.abc import Mapping, Sequence

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

from neural_epitome.data import audio
from neural_epitome.data.array_records import write_prepared_signals
from neural_epitome.data.recipes.base import Recipe
from neural_epitome.data.recipes.drum_labels import CLASSES, FOLDS, label
from neural_epitome.errors import UserError

SAMPLE_RATE = 16000
SECONDS = 1.0
KITS = "/usr/share/hydrogen/data/drumkits"

_SUFFIXES = (".aif", ".aiff", ".flac", ".ogg", ".wav")
# What lies below a hundredth of the peak before the stroke is silence; so much of it
# is kept.
_SILENCE, _LEAD = 0.01, 16
_DESCRIPTION = (
  "Recorded drum sounds, 16 kHz, one channel, at most one second from the onset, peak "
  "at full scale, labelled by instrument from the file names of the drum kits in "
  "Debian's package hydrogen-drumkits; one split a fold of kits. Licences of the "
  "kits: CC0, CC-BY-SA-3.0, GPL-2 and GPL-2+, see the package's copyright file."
)


def clip(samples: np.ndarray) -> np.ndarray:
  """The stored form of one sound.

  Loudness is no cue to the instrument (many kits hold one stroke at five levels), so
  it is taken out.

  Args:
    samples: float32 (samples,) at `SAMPLE_RATE`.

  Returns:
    int16 (samples, 1): at most `SECONDS` from the onset, peak at full scale; without
    samples where there is no sound.
  """
  loud = np.flatnonzero(np.abs(samples) > _SILENCE * np.max(np.abs(samples), initial=0))
  if not loud.size:
    return np.zeros((0, 1), np.int16)
  start = max(0, loud[0] - _LEAD)
  return audio.to_int16(samples[start : start + round(SECONDS * SAMPLE_RATE)])[:, None]


def read_kits(
  kits: str | pathlib.Path, folds: Mapping[str, Sequence[str]] = FOLDS
) -> tuple[dict[str, list[tuple[np.ndarray, int]]], str]:
  """Reads and labels the sounds of all kits that have a fold.

  A file that cannot be read is named on stderr, skipped and counted.

  Args:
    kits: folder of the kits' folders.
    folds: names of the kits of each fold.

  Returns:
    The examples of each fold that has any, and a table of what was counted, for
    people.

  Raises:
    UserError: if the folder or every kit is missing, or nothing can be read.
  """
  root = pathlib.Path(kits).expanduser()
  folders = {kit: root / kit for kits in folds.values() for kit in kits}
  if not any(folder.is_dir() for folder in folders.values()):
    raise UserError(
      f"{root} holds no kit of Debian's package hydrogen-drumkits. Install it, or "
      "unpack it anywhere with: apt-get download hydrogen-drumkits && dpkg-deb -x "
      f"hydrogen-drumkits_*.deb DIR, and give --kits=DIR{KITS}"
    )
  counts: dict[str, collections.Counter] = {}
  examples: dict[str, list[tuple[np.ndarray, int]]] = {fold: [] for fold in folds}
  files = [
    (fold, kit, path)
    for fold, kits in folds.items()
    for kit in kits
    for path in _sound_files(folders[kit])
  ]
  for fold, kit, path in tqdm(files, "Reading", unit=" files", disable=None):
    count = counts.setdefault(kit, collections.Counter())
    name = label(kit, path.stem)
    if name is None:
      count["no class"] += 1
      continue
    try:
      sound = clip(audio.read(path, SAMPLE_RATE))
      if not len(sound):
        raise audio.AudioError("it is silent")
    except audio.AudioError as error:
      tqdm.write(f"Skipped {path}: {error}.", file=sys.stderr)
      count["unreadable"] += 1
      continue
    count[name] += 1
    examples[fold].append((sound, CLASSES.index(name)))
  for kit, folder in folders.items():
    if not folder.is_dir():
      tqdm.write(f"Kit {kit!r} is not in {root}.", file=sys.stderr)
  examples = {fold: rows for fold, rows in examples.items() if rows}
  if not examples:
    raise UserError(f"None of the sounds of the kits in {root} can be read.")
  return examples, "\n".join([_table(counts, folds), *_others(root, folders)])


def _sound_files(folder: pathlib.Path) -> list[pathlib.Path]:
  return sorted(p for p in folder.glob("*") if p.suffix.lower() in _SUFFIXES)


def _others(root: pathlib.Path, known: Mapping[str, pathlib.Path]) -> list[str]:
  """A line on the kits that have no fold, where there are any."""
  others = {
    folder.name: len(_sound_files(folder))
    for folder in sorted(root.iterdir())
    if folder.is_dir() and folder.name not in known
  }
  count = sum(others.values())
  sounds = f"{count} sound{'s' if count != 1 else ''}"
  return [f"Left out: {sounds} of other kits ({', '.join(others)})."] if others else []


def _table(
  counts: Mapping[str, collections.Counter], folds: Mapping[str, Sequence[str]]
) -> str:
  columns = (*CLASSES, "no class", "unreadable")
  fold_of = {kit: fold for fold, kits in folds.items() for kit in kits}
  rows = [
    [kit, fold_of[kit].removeprefix("fold_"), *(count[c] for c in columns)]
    for kit, count in counts.items()
  ]
  total = sum(counts.values(), collections.Counter())
  rows.append(["all", "", *(total[c] for c in columns)])
  return tabulate(rows, ["kit", "fold", *columns])


class DrumsRecipe(Recipe):
  """`drums`: splits `fold_0` to `fold_4`, kits of one author always in one fold."""

  name = "drums"
  summary = "recorded drum sounds of Debian's hydrogen-drumkits, folds by kit"

  def add_arguments(self, parser: argparse.ArgumentParser) -> None:
    """--kits."""
    parser.add_argument(
      "--kits", default=KITS, help=f"folder of the kits' folders (default: {KITS})"
    )

  def prepare(self, options: argparse.Namespace) -> pathlib.Path:
    """See `read_kits`.

    Raises:
      UserError: if there are no kits, soundfile is missing, or the data set is
        prepared already.
    """
    examples, table = read_kits(options.kits)
    print(table)
    return write_prepared_signals(
      options.data_dir, self.name, examples, CLASSES, description=_DESCRIPTION
    )
