"""Fashion-MNIST from its four idx files, whole or as the package's subset."""

import argparse
import gzip
import pathlib
import struct

import cv2
import numpy as np

from neural_epitome.data.array_records import write_prepared
from neural_epitome.data.recipes.base import Recipe
from neural_epitome.data.sources import EMBEDDED_NAME
from neural_epitome.errors import UserError

FASHION_MNIST_CLASSES = (
  "T-shirt/top",
  "Trouser",
  "Pullover",
  "Dress",
  "Coat",
  "Sandal",
  "Shirt",
  "Sneaker",
  "Bag",
  "Ankle boot",
)
EMBEDDED_PER_CLASS = {"train": 1000, "test": 200}

_DESCRIPTION = (
  "Fashion-MNIST: Zalando's article images, 28x28 grey, ten classes. "
  "MIT License, Copyright (c) 2017 Zalando SE, https://tech.zalando.com"
)
_CITATION = """@article{xiao2017fashion,
  author = {Han Xiao and Kashif Rasul and Roland Vollgraf},
  title = {Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
           Algorithms},
  journal = {arXiv:1708.07747},
  year = {2017},
}"""

_LICENCE = """The MIT License (MIT)

Copyright (c) 2017 Zalando SE, https://tech.zalando.com

Permission is hereby granted, free of charge, to any person obtaining a copy of this
software and associated documentation files (the "Software"), to deal in the Software
without restriction, including without limitation the rights to use, copy, modify,
merge, publish, distribute, sublicense, and/or sell copies of the Software, and to
permit persons to whom the Software is furnished to do so, subject to the following
conditions:

The above copyright notice and this permission notice shall be included in all copies
or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED,
INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A
PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT
HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF
CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE
OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def read_idx(path: pathlib.Path) -> np.ndarray:
  """Reads an idx file of unsigned bytes, gzipped or not.

  Returns:
    uint8 array of the shape that the file's header gives.

  Raises:
    UserError: if the file is absent, truncated or not an idx file of bytes.
  """
  file_path = next((p for p in (path, path.with_suffix(".gz")) if p.is_file()), None)
  if file_path is None:
    raise UserError(
      f"{path}[.gz] is missing; it is one of the four idx files of Fashion-MNIST "
      "(Debian's package dataset-fashion-mnist has them)."
    )
  try:
    with (gzip.open if file_path.suffix == ".gz" else open)(file_path, "rb") as file:
      data = file.read()
    zero, kind, axes = struct.unpack_from(">HBB", data)
    shape = struct.unpack_from(f">{axes}I", data, 4)
    pixels = np.frombuffer(data, np.uint8, offset=4 + 4 * axes)
    if zero or kind != 8 or pixels.size != np.prod(shape, dtype=np.int64):
      raise ValueError("wrong header or length")
  except (OSError, EOFError, ValueError, struct.error) as error:
    raise UserError(
      f"{file_path} is no idx file of bytes ({error}); fetch it anew."
    ) from (error)
  return pixels.reshape(shape)


def read_fashion_mnist(
  idx_dir: str | pathlib.Path,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """Reads the official splits: images uint8 (N, 28, 28) and labels uint8 (N,)."""
  idx_dir, splits = pathlib.Path(idx_dir).expanduser(), {}
  for split, prefix in (("train", "train"), ("test", "t10k")):
    images = read_idx(idx_dir / f"{prefix}-images-idx3-ubyte")
    labels = read_idx(idx_dir / f"{prefix}-labels-idx1-ubyte")
    if len(images) != len(labels):
      raise UserError(f"{idx_dir}: {len(images)} images but {len(labels)} labels.")
    splits[split] = images, labels
  return splits


def encode_png(image: np.ndarray) -> bytes:
  """Returns the smallest PNG of `image`, uint8 (H, W) or (H, W, C) in RGB.

  Zlib's strategies differ by several per cent on small pictures and none is best
  everywhere, so all are tried.
  """
  if image.ndim == 3 and image.shape[2] == 3:
    image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
  tried = []
  for strategy in range(4):
    options = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_STRATEGY, strategy]
    tried.append(cv2.imencode(".png", image, options)[1].tobytes())
  return min(tried, key=len)


def stratified(labels: np.ndarray, per_class: int, seed: int) -> np.ndarray:
  """Returns sorted positions (int64) of `per_class` random examples of each class.

  Raises:
    UserError: if a class has fewer.
  """
  generator, chosen = np.random.default_rng(seed), []
  for label in np.unique(labels):
    members = np.flatnonzero(labels == label)
    if len(members) < per_class:
      raise UserError(f"Class {label} has {len(members)} examples, not {per_class}.")
    chosen.append(generator.choice(members, per_class, replace=False))
  return np.sort(np.concatenate(chosen))


def prepare_fashion_mnist(
  idx_dir: str | pathlib.Path, data_dir: str | pathlib.Path
) -> pathlib.Path:
  """Prepares the full set, as `--dataset=fashion_mnist --data_dir=...` reads it.

  Args:
    idx_dir: directory of the four idx files, gzipped or not.
    data_dir: directory of prepared data sets.

  Returns:
    The prepared directory.

  Raises:
    UserError: if an idx file is missing or broken, or the data prepared already.
  """
  splits = read_fashion_mnist(idx_dir)
  return write_prepared(
    data_dir,
    "fashion_mnist",
    {
      split: ((encode_png(image), label) for image, label in zip(*arrays, strict=True))
      for split, arrays in splits.items()
    },
    FASHION_MNIST_CLASSES,
    shape=(28, 28, 1),
    version="3.0.1",
    description=_DESCRIPTION,
    citation=_CITATION,
  )


def make_embedded(
  idx_dir: str | pathlib.Path, out_dir: str | pathlib.Path, seed: int = 0
) -> pathlib.Path:
  """Makes the subset inside the package: 1,000 training, 200 test images a class.

  Args:
    idx_dir: directory of the four idx files.
    out_dir: the folder to make; `neural_epitome/data/embedded` in the package.
    seed: of the draw, which is stratified by class within the official splits.

  Returns:
    The prepared directory.
  """
  rows = {}
  for split, (images, labels) in read_fashion_mnist(idx_dir).items():
    chosen = stratified(labels, EMBEDDED_PER_CLASS[split], seed)
    rows[split] = [(encode_png(images[i]), labels[i]) for i in chosen]
  target = write_prepared(
    out_dir,
    EMBEDDED_NAME,
    rows,
    FASHION_MNIST_CLASSES,
    shape=(28, 28, 1),
    description=_DESCRIPTION
    + f" This is a stratified subset: {EMBEDDED_PER_CLASS['train']} training and "
    f"{EMBEDDED_PER_CLASS['test']} test images a class, drawn with seed {seed} from "
    "the official splits.",
    citation=_CITATION,
  )
  (pathlib.Path(out_dir) / "LICENSE").write_text(_LICENCE)
  return target


class FashionMnistRecipe(Recipe):
  """`fashion_mnist`: see `prepare_fashion_mnist`."""

  name = "fashion_mnist"
  summary = "Fashion-MNIST from its four idx files; needs no network"

  def add_arguments(self, parser: argparse.ArgumentParser) -> None:
    """--idx_dir."""
    parser.add_argument(
      "--idx_dir",
      default="/usr/share/datasets/fashion-mnist",
      help="folder of the idx files (default: where Debian's package "
      "dataset-fashion-mnist puts them)",
    )

  def prepare(self, options: argparse.Namespace) -> pathlib.Path:
    """See `prepare_fashion_mnist`."""
    return prepare_fashion_mnist(options.idx_dir, options.data_dir)


class EmbeddedRecipe(FashionMnistRecipe):
  """`embedded`: see `make_embedded`."""

  name = "embedded"
  summary = "the subset of Fashion-MNIST that the package carries"

  def add_arguments(self, parser: argparse.ArgumentParser) -> None:
    """--idx_dir, --seed."""
    super().add_arguments(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the draw")

  def prepare(self, options: argparse.Namespace) -> pathlib.Path:
    """See `make_embedded`."""
    return make_embedded(options.idx_dir, options.data_dir, options.seed)
