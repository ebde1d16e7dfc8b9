"""Generated pictures in the form of ImageNet, to try its path before one has it.

A thousand classes of real names, JPEGs of mixed sizes around 500 x 375, some much
larger, some tiny, some grey or CMYK, as archives or class folders with the file names
of the originals. A picture is fractal noise and sharp-edged shapes in two colours of
its class, and has about as many bytes as a photograph of its size.
"""

import argparse
import collections
import functools
import io
import os
import pathlib
import tarfile
from collections.abc import Iterator

import cv2
import numpy as np
import simplejpeg
from tqdm import tqdm

from neural_epitome.data.decoding import convert_channels
from neural_epitome.data.processes import parallel
from neural_epitome.data.recipes.base import Recipe
from neural_epitome.data.recipes.imagenet2012 import (
  ARCHIVES,
  FOLDERS,
  synsets,
  validation_synsets,
)
from neural_epitome.errors import UserError

QUALITY = 94

# Height and width in pixels, and how many of a hundred pictures have them; on average
# about as many pixels as ImageNet's.
SIZES = (
  ((375, 500), 57),
  ((333, 500), 15),
  ((500, 375), 15),
  ((240, 320), 7),
  ((768, 1024), 2),
  ((1200, 1600), 1),
  ((60, 90), 2),
  ((20, 18), 1),
)


def size(random: np.random.Generator) -> tuple[int, int]:
  """Draws a height and a width, pixels."""
  shares = np.array([share for _, share in SIZES])
  return SIZES[random.choice(len(SIZES), p=shares / shares.sum())][0]


def picture(
  random: np.random.Generator, height: int, width: int, label: int
) -> np.ndarray:
  """Fractal noise with some sharp-edged shapes: uint8 (height, width, 3)."""
  colors = np.random.default_rng(label).uniform(30, 225, (2, 3)).astype(np.float32)
  image = np.zeros((height, width, 3), np.float32)
  for level in range(9):
    shape = (max(2, height >> level), max(2, width >> level))
    light = random.standard_normal((*shape, 1), np.float32)
    noise = light + np.float32(0.3) * random.standard_normal((*shape, 3), np.float32)
    image += np.float32(1.3**level) * cv2.resize(noise, (width, height))
  image *= np.float32(55) / image.std()
  image += colors[0]
  shapes = np.zeros_like(image)
  for _ in range(12):
    corners = random.integers(0, (width, height), (3, 2)).astype(np.int32)
    shade = (colors[1] - colors[0]) * np.float32(random.uniform(0, 1))
    cv2.fillConvexPoly(shapes, corners, shade.tolist())
  image += shapes
  return np.clip(image, 0, 255).astype(np.uint8)


def encode(pixels: np.ndarray, space: str = "RGB") -> bytes:
  """A JPEG of uint8 (height, width, 3) in the colour space RGB, GRAY or CMYK."""
  if space == "GRAY":
    pixels = convert_channels(pixels, 1)
  elif space == "CMYK":
    # Ink without black, inverted as Adobe's programs write it: the colours themselves.
    pixels = np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], -1)
  return simplejpeg.encode_jpeg(pixels, QUALITY, space, "420")


def make(seed: int, split: str, label: int, number: int) -> bytes:
  """The picture `number` of a class: a JPEG that follows from the arguments alone."""
  stream = list(FOLDERS).index(split)
  random = np.random.default_rng((seed, stream, label, number))
  # ImageNet has two grey pictures in a hundred and 22 in CMYK of all.
  space = random.choice(["RGB", "GRAY", "CMYK"], p=[0.97, 0.02, 0.01])
  return encode(picture(random, *size(random), label), str(space))


def names(split: str, per_class: int) -> Iterator[tuple[int, int, str]]:
  """Label, number and file name of every picture, class by class."""
  if split == "train":
    for label, synset in enumerate(synsets()):
      for number in range(per_class):
        yield label, number, f"{synset}_{number + 1}.JPEG"
    return
  # The number in a validation image's name says its class: the first ones of each.
  numbers = collections.defaultdict(list)
  for number, synset in enumerate(validation_synsets(), 1):
    numbers[synset].append(number)
  for label, synset in enumerate(synsets()):
    for number in numbers[synset][:per_class]:
      yield label, number, f"ILSVRC2012_val_{number:08}.JPEG"


def _class_pictures(
  split: str, seed: int, images: list[tuple[int, int, str]]
) -> list[tuple[str, bytes]]:
  return [(name, make(seed, split, label, number)) for label, number, name in images]


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
  info = tarfile.TarInfo(name)
  info.size = len(data)
  archive.addfile(info, io.BytesIO(data))


class ImagenetFormRecipe(Recipe):
  """`imagenet_form`: what `imagenet2012` is prepared from, generated."""

  name = "imagenet_form"
  summary = "generated pictures in ImageNet's form, for `imagenet2012` to prepare"

  def add_arguments(self, parser: argparse.ArgumentParser) -> None:
    """--form, --train, --validation, --seed, --processes."""
    parser.add_argument(
      "--form",
      choices=("archives", "folders"),
      default="archives",
      help="tar archives as ILSVRC2012 has them, or class folders (default: archives)",
    )
    parser.add_argument("--train", type=int, default=2, help="a class (default: 2)")
    parser.add_argument(
      "--validation", type=int, default=1, help="a class, at most 50 (default: 1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the drawing")
    parser.add_argument(
      "--processes",
      type=int,
      default=os.cpu_count() or 1,
      help="that draw (default: one a core)",
    )

  def prepare(self, options: argparse.Namespace) -> pathlib.Path:
    """Draws and writes both splits.

    Raises:
      UserError: if a number is out of range or the folder has such pictures already.
    """
    for name, least, most in (
      ("train", 1, 10_000),
      ("validation", 1, 50),
      ("seed", 0, 2**32),
      ("processes", 1, 1024),
    ):
      if not least <= getattr(options, name) <= most:
        raise UserError(
          f"--{name}={getattr(options, name)} must be from {least} to {most}."
        )
    root = pathlib.Path(options.data_dir).expanduser()
    for taken in (*ARCHIVES.values(), *FOLDERS.values()):
      if (root / taken).exists():
        raise UserError(f"{root / taken} exists already; remove it to draw anew.")
    root.mkdir(parents=True, exist_ok=True)
    write = write_archive if options.form == "archives" else write_folders
    with parallel(options.processes) as over:
      for split in FOLDERS:
        images = list(names(split, getattr(options, split)))
        each = len(images) // len(synsets())
        classes = [images[i : i + each] for i in range(0, len(images), each)]
        drawn = over(functools.partial(_class_pictures, split, options.seed), classes)
        bar = tqdm(drawn, split, len(classes), unit=" classes", disable=None)
        write(root, split, zip(synsets(), bar, strict=True))
    return root


Drawn = Iterator[tuple[str, list[tuple[str, bytes]]]]


def write_archive(root: pathlib.Path, split: str, classes: Drawn) -> None:
  """A tar of tars for training, a plain one for validation."""
  with tarfile.open(root / ARCHIVES[split], "w") as archive:
    for synset, images in classes:
      buffer = io.BytesIO()
      if split == "train":
        with tarfile.open(fileobj=buffer, mode="w") as inner:
          for name, data in images:
            _add(inner, name, data)
        _add(archive, f"{synset}.tar", buffer.getvalue())
      else:
        for name, data in images:
          _add(archive, name, data)


def write_folders(root: pathlib.Path, split: str, classes: Drawn) -> None:
  """A folder a class."""
  for synset, images in classes:
    folder = root / FOLDERS[split] / synset
    folder.mkdir(parents=True)
    for name, data in images:
      (folder / name).write_bytes(data)
