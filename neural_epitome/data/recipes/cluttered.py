"""A harder edition of small pictures: turned, moved and among pieces of others.

Each picture is turned by any angle about its middle and put anywhere on a black canvas
of twice its side; pieces of other pictures of the split lie about. Where they overlap,
the brighter pixel shows. Nothing but the seed decides, so with one release of OpenCV
the result is the same everywhere.
"""

import argparse
import pathlib
from collections.abc import Iterator

import cv2
import numpy as np

from neural_epitome.data.array_records import write_prepared
from neural_epitome.data.decoding import decode
from neural_epitome.data.options import DataOptions
from neural_epitome.data.recipes.base import Recipe
from neural_epitome.data.recipes.fashion_mnist import encode_png
from neural_epitome.data.sources import Source, open_source
from neural_epitome.errors import UserError

PIECES = 8
SPLITS = ("train", "test")


def place(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
  """Turns a picture and puts it on a black canvas of twice its side.

  Args:
    image: uint8 (side, side), black where there is nothing.
    random: source of randomness for the angle and the place.

  Returns:
    uint8 (2 side, 2 side).
  """
  side = len(image)
  middle = (side - 1) / 2
  matrix = cv2.getRotationMatrix2D((middle, middle), random.uniform(0.0, 360.0), 1.0)
  matrix[:, 2] += random.uniform(0.0, side, 2)
  return cv2.warpAffine(image, matrix, (2 * side, 2 * side), flags=cv2.INTER_LINEAR)


def clutter(
  canvas: np.ndarray, others: list[np.ndarray], random: np.random.Generator
) -> np.ndarray:
  """Lays a piece of each of the other pictures on the canvas, a third of their side."""
  canvas = canvas.copy()
  for other in others:
    piece = len(other) // 3
    top, left = random.integers(0, len(other) - piece + 1, 2)
    row, column = random.integers(0, len(canvas) - piece + 1, 2)
    spot = canvas[row : row + piece, column : column + piece]
    np.maximum(spot, other[top : top + piece, left : left + piece], out=spot)
  return canvas


def cluttered(source: Source, seed: int) -> Iterator[tuple[np.ndarray, int]]:
  """Every picture of a source, uint8 (2 side, 2 side), with its label, in order."""
  examples = [source[index] for index in range(len(source))]
  images = [decode(example["image"], 1)[..., 0] for example in examples]
  side = len(images[0])
  for index, image in enumerate(images):
    if image.shape != (side, side):
      raise UserError(
        f"{source.describe(index)} is {image.shape[1]} x {image.shape[0]} pixels; "
        f"pictures must be square and all of one size, as the first of {side}."
      )
  for index, (image, example) in enumerate(zip(images, examples, strict=True)):
    random = np.random.default_rng((seed, index))
    others = [images[i] for i in random.integers(0, len(images), PIECES)]
    yield clutter(place(image, random), others, random), example["label"]


class ClutteredRecipe(Recipe):
  """`cluttered`: makes `cluttered_NAME` from the square grey pictures of NAME."""

  name = "cluttered"
  summary = "a harder edition of small grey pictures: turned, moved, cluttered"

  def add_arguments(self, parser: argparse.ArgumentParser) -> None:
    """--dataset, --seed."""
    parser.add_argument(
      "--dataset",
      default="fashion_mnist",
      help="prepared in --data_dir, or `embedded`, what the package carries "
      "(default: fashion_mnist)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the drawing")

  def prepare(self, options: argparse.Namespace) -> pathlib.Path:
    """Makes both splits.

    Raises:
      UserError: if there is no such data set, its pictures are not square and of one
        size, the seed is negative, or it is prepared already.
    """
    if options.seed < 0:
      raise UserError(f"--seed={options.seed} must be 0 or more.")
    data = DataOptions(dataset=options.dataset, data_dir=options.data_dir)
    sources = {split: open_source(data, split) for split in SPLITS}
    side = len(decode(sources["train"][0]["image"], 1))
    # Each split draws from a stream of its own.
    seeds = {split: 2 * options.seed + i for i, split in enumerate(SPLITS)}
    return write_prepared(
      options.data_dir,
      f"cluttered_{options.dataset}",
      {
        split: (
          (encode_png(image), label) for image, label in cluttered(source, seeds[split])
        )
        for split, source in sources.items()
      },
      sources["train"].classes,
      shape=(2 * side, 2 * side, 1),
      description=f"{options.dataset}, each picture turned, moved and put among "
      f"{PIECES} pieces of others on a canvas of {2 * side} x {2 * side} pixels; seed "
      f"{options.seed}.",
    )
