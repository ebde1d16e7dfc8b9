"""ImageNet (ILSVRC2012) from the archives of its site, or from class folders.

What comes out is TFDS's `imagenet2012`, which its own recipe makes with TensorFlow:
labels in the order of the sorted synsets, file names kept. Images are stored as they
are, a PNG and 22 CMYK pictures among them, which `decoding` reads.

The classes of the validation images, which their archive does not say, are those of
the list in TFDS, by the number in the file's name.
"""

import argparse
import functools
import os
import pathlib
import re
import tarfile
from collections.abc import Iterable

from neural_epitome.data.processes import parallel
from neural_epitome.data.recipes.base import Recipe
from neural_epitome.data.shards import PER_SHARD, Record, write_shards
from neural_epitome.data.sources import data_directory
from neural_epitome.errors import UserError

VERSION = "5.1.0"  # of TFDS's recipe
COUNTS = {"train": 1_281_167, "validation": 50_000}
ARCHIVES = {"train": "ILSVRC2012_img_train.tar", "validation": "ILSVRC2012_img_val.tar"}
FOLDERS = {"train": "train", "validation": "val"}
SUFFIXES = (".jpeg", ".jpg")

_WHERE = "https://image-net.org/download-images"
_CITATION = """@article{ILSVRC15,
  author = {Olga Russakovsky and Jia Deng and Hao Su and Jonathan Krause and Sanjeev
            Satheesh and Sean Ma and Zhiheng Huang and Andrej Karpathy and Aditya Khosla
            and Michael Bernstein and Alexander C. Berg and Li Fei-Fei},
  title = {{ImageNet Large Scale Visual Recognition Challenge}},
  journal = {International Journal of Computer Vision},
  volume = {115},
  number = {3},
  pages = {211-252},
  year = {2015},
}"""


@functools.cache
def synsets() -> tuple[str, ...]:
  """The 1,000 classes (`n01440764`), sorted: the order of the labels."""
  return _tfds_list("labels.txt")


@functools.cache
def validation_synsets() -> tuple[str, ...]:
  """The class of each of the 50,000 validation images, in the order of their names."""
  return _tfds_list("validation_labels.txt")


def _tfds_list(name: str) -> tuple[str, ...]:
  import tensorflow_datasets as tfds

  path = tfds.core.tfds_path(f"datasets/imagenet2012/{name}")
  return tuple(path.read_text().split())


def find_images(source: pathlib.Path, processes: int) -> dict[str, list[Record]]:
  """Lists the images of both splits.

  Args:
    source: a folder with `ILSVRC2012_img_train.tar` and `ILSVRC2012_img_val.tar`, or
      with the folders `train` and `val`: a folder a class, but `val` may hold its
      images as its archive does.
    processes: that read the tables of archives.

  Raises:
    UserError: if a split is missing, an archive is cut short, or a folder or a file
      has a name that ImageNet does not know.
  """
  images = {}
  with parallel(processes) as over:
    for split, archive in ARCHIVES.items():
      path, folder = source / archive, source / FOLDERS[split]
      if path.is_file():
        if split == "train":
          classes = [(path, *inner) for inner in _members(path, ".tar")]
          images[split] = [
            r for records in over(_class_images, classes) for r in records
          ]
        else:
          images[split] = [
            Record(name, _validation_label(name, path), str(path), offset, size)
            for name, offset, size in _members(path, SUFFIXES)
          ]
      elif folder.is_dir():
        images[split] = _folder_images(folder)
      else:
        raise UserError(
          f"{source} holds neither {archive} nor a folder {FOLDERS[split]!r}: fetch "
          f"the archives of ILSVRC2012 from {_WHERE} and give --source=FOLDER."
        )
  return images


def _members(
  path: pathlib.Path, suffix: str | tuple[str, ...], offset: int = 0
) -> list[tuple[str, int, int]]:
  """Name, first byte and size of the files in a tar, which may lie within another."""
  try:
    with open(path, "rb") as file:
      file.seek(offset)
      # Without a name tarfile keeps to the file it is given, from where that stands.
      with tarfile.open(fileobj=file, mode="r:") as archive:
        return [
          (pathlib.PurePosixPath(member.name).name, member.offset_data, member.size)
          for member in archive
          if member.isfile() and member.name.lower().endswith(suffix)
        ]
  except (tarfile.TarError, OSError) as error:
    raise UserError(f"{path} is no whole archive ({error}); fetch it anew.") from error


def _class_images(place: tuple[pathlib.Path, str, int, int]) -> list[Record]:
  path, name, offset, _ = place
  label = _label(name.removesuffix(".tar"), path)
  return [
    Record(n, label, str(path), o, s) for n, o, s in _members(path, SUFFIXES, offset)
  ]


def _folder_images(folder: pathlib.Path) -> list[Record]:
  records = []
  for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
    if entry.is_dir():
      label = _label(entry.name, folder)
      names = sorted(n for n in os.listdir(entry) if n.lower().endswith(SUFFIXES))
      records += [Record(name, label, f"{entry.path}/{name}") for name in names]
    elif entry.name.lower().endswith(SUFFIXES):
      label = _validation_label(entry.name, folder)
      records.append(Record(entry.name, label, entry.path))
  return records


def _label(synset: str, where: pathlib.Path) -> int:
  try:
    return _labels()[synset]
  except KeyError:
    raise UserError(
      f"{where} has a class {synset!r}, which is none of ImageNet's."
    ) from (None)


@functools.cache
def _labels() -> dict[str, int]:
  return {synset: label for label, synset in enumerate(synsets())}


def _validation_label(name: str, where: pathlib.Path) -> int:
  match = re.fullmatch(r"ILSVRC2012_val_(\d{8})\.JPEG", name)
  if not match or not 1 <= int(match[1]) <= COUNTS["validation"]:
    raise UserError(f"{where} holds {name}, which is no name of a validation image.")
  return _labels()[validation_synsets()[int(match[1]) - 1]]


def check_counts(images: dict[str, list[Record]], source: pathlib.Path) -> None:
  """Raises UserError, naming a class that is short, if there are not all images."""
  for split, expected in COUNTS.items():
    if len(images[split]) != expected:
      raise UserError(
        f"{source} has {len(images[split]):,} images for {split}, not {expected:,}"
        f"{_short(images[split], split)}. Complete it, or say --allow_partial."
      )


def _short(records: Iterable[Record], split: str) -> str:
  """Which class has the fewest images, where that is no more than ever is."""
  counts = dict.fromkeys(range(len(synsets())), 0)
  for record in records:
    counts[record.label] += 1
  label = min(counts, key=lambda key: counts[key])
  # The smallest class of the training images has 732.
  least = 732 if split == "train" else 50
  return f" ({synsets()[label]}: {counts[label]})" if counts[label] < least else ""


class Imagenet2012Recipe(Recipe):
  """`imagenet2012`: splits `train` and `validation`."""

  name = "imagenet2012"
  summary = "ImageNet from its tar archives or class folders; resumes when interrupted"

  def add_arguments(self, parser: argparse.ArgumentParser) -> None:
    """--source, --processes, --per_shard, --allow_partial."""
    parser.add_argument(
      "--source",
      help="folder of ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, or of the "
      "folders train and val (default: DATA_DIR/downloads/manual)",
    )
    parser.add_argument(
      "--processes",
      type=int,
      default=os.cpu_count() or 1,
      help="that read and write (default: one a core)",
    )
    parser.add_argument(
      "--per_shard",
      type=int,
      default=PER_SHARD,
      help=f"images of a file, about (default: {PER_SHARD:,}, 140 MB)",
    )
    parser.add_argument(
      "--allow_partial",
      action="store_true",
      help="prepare what there is, where images are missing",
    )

  def prepare(self, options: argparse.Namespace) -> pathlib.Path:
    """Lists, counts and writes; the same command goes on after an interruption.

    Raises:
      UserError: see `find_images`, `check_counts` and `shards.write_shards`.
    """
    for name in ("processes", "per_shard"):
      if getattr(options, name) < 1:
        raise UserError(f"--{name}={getattr(options, name)} must be 1 or more.")
    data_dir = data_directory(options.data_dir)
    target = data_dir / self.name / VERSION
    if target.exists():
      raise UserError(f"{target} exists already; remove it to prepare it anew.")
    source = pathlib.Path(options.source or data_dir / "downloads/manual").expanduser()
    images = find_images(source, options.processes)
    if not options.allow_partial:
      check_counts(images, source)
    for split, records in images.items():
      if not records:
        raise UserError(f"{source} has no images for {split}.")
    write_shards(
      target,
      images,
      synsets(),
      processes=options.processes,
      per_shard=options.per_shard,
      description="ILSVRC2012 (ImageNet), images as they are in its archives.",
      citation=_CITATION,
    )
    return target
