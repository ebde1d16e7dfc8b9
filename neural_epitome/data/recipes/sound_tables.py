"""Sets of sound files listed in a CSV file that gives each a class and a fold."""

import abc
import argparse
import collections
import csv
import dataclasses
import pathlib
import sys
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

from neural_epitome.data import audio
from neural_epitome.data.array_records import write_prepared_signals
from neural_epitome.data.recipes.base import Recipe
from neural_epitome.errors import UserError


@dataclasses.dataclass(frozen=True)
class Sound:
  """One line of the table.

  Attributes:
    path: of the file.
    label: its class.
    fold: its fold, from 1.
  """

  path: pathlib.Path
  label: int
  fold: int


class SoundTableRecipe(Recipe):
  """A data set of one CSV file and its sound files, prepared as `fold_1` and on.

  Attributes:
    table: path of the CSV file within the data set's folder.
    label_column: its column of class numbers, from 0.
    class_column: its column of class names.
    folds: how many there are.
    where: where to get the folder, for a message.
    description: kept with the data.
    citation: BibTeX kept with the data.
  """

  table: ClassVar[str]
  label_column: ClassVar[str]
  class_column: ClassVar[str]
  folds: ClassVar[int]
  where: ClassVar[str]
  description: ClassVar[str]
  citation: ClassVar[str]

  @abc.abstractmethod
  def path(self, root: pathlib.Path, row: dict[str, str]) -> pathlib.Path:
    """The file of one row of the table in the data set's folder `root`."""

  def add_arguments(self, parser: argparse.ArgumentParser) -> None:
    """--source and --sample_rate."""
    parser.add_argument(
      "--source", required=True, help=f"the data set's folder, from {self.where}"
    )
    parser.add_argument(
      "--sample_rate", type=int, default=16000, help="Hz (default: 16000)"
    )

  def read_table(self, root: pathlib.Path) -> tuple[list[Sound], tuple[str, ...]]:
    """Reads the table.

    Returns:
      Every sound, and the class names by label.

    Raises:
      UserError: if the table is missing, lacks a column or contradicts itself.
    """
    path = root / self.table
    try:
      with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
      raise UserError(
        f"{path} cannot be read ({error}); --source is the folder from {self.where}."
      ) from error
    sounds, names = [], {}
    for number, row in enumerate(rows, 2):
      try:
        label, fold = int(row[self.label_column]), int(row["fold"])
        if not 1 <= fold <= self.folds:
          raise ValueError(f"fold {fold} is not in 1 to {self.folds}")
        if names.setdefault(label, row[self.class_column]) != row[self.class_column]:
          raise ValueError(f"class {label} has two names")
        sounds.append(Sound(self.path(root, row), label, fold))
      except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}, line {number} is broken: {error}.") from error
    if sorted(names) != list(range(len(names))) or not names:
      raise UserError(f"{path} has the classes {sorted(names)}, not 0 and on.")
    return sounds, tuple(names[label] for label in range(len(names)))

  def prepare(self, options: argparse.Namespace) -> pathlib.Path:
    """Reads, resamples and writes all sounds; unreadable ones are named and counted.

    Raises:
      UserError: if the table is broken, no file can be read, soundfile is missing,
        or the data set is prepared already.
    """
    if options.sample_rate < 1:
      raise UserError(f"--sample_rate={options.sample_rate} must be above 0.")
    sounds, classes = self.read_table(pathlib.Path(options.source).expanduser())
    counts: collections.Counter = collections.Counter()
    progress = tqdm(total=len(sounds), desc="Reading", unit=" files", disable=None)

    def examples(fold: int) -> Iterator[tuple[np.ndarray, int]]:
      is_empty = True
      for sound in sounds:
        if sound.fold != fold:
          continue
        progress.update()
        try:
          samples = audio.read(sound.path, options.sample_rate)
        except audio.AudioError as error:
          tqdm.write(f"Skipped {sound.path}: {error}.", file=sys.stderr)
          counts[fold, "unreadable"] += 1
          continue
        counts[fold, classes[sound.label]] += 1
        is_empty = False
        yield audio.to_int16(samples)[:, None], sound.label
      if is_empty:
        raise UserError(f"No sound of fold {fold} in {options.source} can be read.")

    folds = sorted({sound.fold for sound in sounds})
    try:
      target = write_prepared_signals(
        options.data_dir,
        self.name,
        {f"fold_{fold}": examples(fold) for fold in folds},
        classes,
        description=f"{self.description} {options.sample_rate} Hz, one channel.",
        citation=self.citation,
      )
    finally:
      progress.close()
    rows = [[c, *(counts[f, c] for f in folds)] for c in (*classes, "unreadable")]
    print(tabulate(rows, ["class", *(f"fold {fold}" for fold in folds)]))
    return target
