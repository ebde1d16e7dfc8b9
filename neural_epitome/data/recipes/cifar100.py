"""CIFAR-100 from its original pickles, or from the sheets that it was re-packed in.

A sheet is one lossless picture of 32x32 images in reading order, as many a row as fit:
`train-0.webp` and on, and `test.webp`, beside `labels.npz` (an array a sheet, by the
sheet's name) and `classes.txt` (a name a line, by label).
"""

import argparse
import pathlib
import zipfile

import cv2
import numpy as np

from neural_epitome.data.array_records import write_prepared
from neural_epitome.data.recipes.base import Recipe
from neural_epitome.data.recipes.catalogue import prepare_tfds
from neural_epitome.data.recipes.cifar100_pickles import SIDE, read_pickles
from neural_epitome.data.recipes.fashion_mnist import encode_png
from neural_epitome.errors import UserError

_DESCRIPTION = (
  "CIFAR-100: 60,000 colour images of 32x32 pixels, 600 of each of 100 classes, 500 of "
  "them for training. https://www.cs.toronto.edu/~kriz/cifar.html"
)
_CITATION = """@techreport{krizhevsky2009learning,
  author = {Alex Krizhevsky},
  title = {Learning Multiple Layers of Features from Tiny Images},
  institution = {University of Toronto},
  year = {2009},
}"""


def read_sheet(folder: pathlib.Path, name: str) -> tuple[np.ndarray, np.ndarray]:
  """Reads one sheet.

  Returns:
    Images uint8 (N, 32, 32, 3) in RGB, and labels uint8 (N,).

  Raises:
    UserError: if the sheet or its labels are missing or damaged.
  """
  path = folder / f"{name}.webp"
  if not path.is_file():
    raise UserError(f"{path} is missing; copy it beside labels.npz.")
  try:
    with np.load(folder / "labels.npz") as file:
      labels = file[name].astype(np.uint8)
  except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
    raise UserError(
      f"{folder}/labels.npz has no labels of {name} ({error}); copy it anew."
    ) from error
  sheet = cv2.imread(str(path), cv2.IMREAD_COLOR)
  if sheet is None or sheet.shape[0] % SIDE or sheet.shape[1] % SIDE:
    raise UserError(f"{path} is no sheet of {SIDE}x{SIDE} images; copy it anew.")
  rows, columns = sheet.shape[0] // SIDE, sheet.shape[1] // SIDE
  images = sheet[..., ::-1].reshape(rows, SIDE, columns, SIDE, 3)
  images = images.transpose(0, 2, 1, 3, 4).reshape(-1, SIDE, SIDE, 3)
  if len(images) != len(labels):
    raise UserError(
      f"{path} has {len(images)} images and labels.npz {len(labels)} labels of it."
    )
  return np.ascontiguousarray(images), labels


def read_cifar100(
  source: str | pathlib.Path,
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], tuple[str, ...]]:
  """Reads the official splits, in whichever form they are.

  Args:
    source: `cifar-100-python.tar.gz`, a folder that holds it or what is in it, or a
      folder of sheets.

  Returns:
    By split, images uint8 (N, 32, 32, 3) in RGB and labels uint8 (N,); and the names
    of the classes by label.

  Raises:
    UserError: if a file is missing or damaged, or a pickle asks to run code.
  """
  source = pathlib.Path(source).expanduser()
  if not (source / "labels.npz").is_file():
    return read_pickles(source)
  names = sorted(path.stem for path in source.glob("train-*.webp"))
  parts = [read_sheet(source, name) for name in names or ["train-0"]]
  images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
  try:
    classes = tuple((source / "classes.txt").read_text().split())
  except OSError as error:
    raise UserError(f"{source}/classes.txt cannot be read: {error.strerror}.") from (
      error
    )
  return {"train": (images, labels), "test": read_sheet(source, "test")}, classes


def prepare_cifar100(
  source: str | pathlib.Path, data_dir: str | pathlib.Path
) -> pathlib.Path:
  """Prepares the full set, as `--dataset=cifar100 --data_dir=...` reads it.

  Args:
    source: as of `read_cifar100`.
    data_dir: directory of prepared data sets.

  Returns:
    The prepared directory.

  Raises:
    UserError: as `read_cifar100`; if a label has no name, or the data is prepared
      already.
  """
  splits, classes = read_cifar100(source)
  highest = max(int(labels.max(initial=0)) for _, labels in splits.values())
  if highest >= len(classes):
    raise UserError(f"{source} has a label {highest} and {len(classes)} class names.")
  return write_prepared(
    data_dir,
    "cifar100",
    {
      split: ((encode_png(image), label) for image, label in zip(*arrays, strict=True))
      for split, arrays in splits.items()
    },
    classes,
    shape=(SIDE, SIDE, 3),
    version="3.0.2",
    description=_DESCRIPTION,
    citation=_CITATION,
  )


class Cifar100Recipe(Recipe):
  """`cifar100`: see `prepare_cifar100`."""

  name = "cifar100"
  summary = "CIFAR-100 from its original archive or re-packed sheets"

  def add_arguments(self, parser: argparse.ArgumentParser) -> None:
    """--source."""
    parser.add_argument(
      "--source",
      help="cifar-100-python.tar.gz, the folder that holds it or what is in it, or a "
      "folder of sheets (train-0.webp, ..., test.webp, labels.npz, classes.txt); "
      "without it, it is fetched as TFDS says",
    )

  def prepare(self, options: argparse.Namespace) -> pathlib.Path:
    """See `prepare_cifar100`; without a source, `prepare_tfds`."""
    if options.source is None:
      return prepare_tfds(self.name, options.data_dir)
    return prepare_cifar100(options.source, options.data_dir)
