"""The data of the faults: small, of JPEGs, and damaged as disks and downloads do it."""

import random
import shutil
from collections.abc import Collection
from pathlib import Path

TRAIN, TEST, SIZE = 320, 100, 28
# Of a picture that was cut: its header is whole, most of its pixels are not there.
_KEPT = 0.7


def make(folder: Path, corrupt: Collection[int] = ()) -> Path:
  """Writes a prepared data set of JPEGs.

  Args:
    folder: where; what it holds goes.
    corrupt: training examples whose file is cut short.

  Returns:
    The prepared directory.
  """
  import cv2

  from neural_epitome.data import decoding, sources
  from neural_epitome.data.array_records import write_prepared
  from neural_epitome.data.options import DataOptions

  def jpeg(source: sources.Source, index: int, is_cut: bool) -> tuple[bytes, int]:
    example = source[index]
    image = decoding.decode(example["image"], 1)
    data = cv2.imencode(".jpg", image)[1].tobytes()
    return data[: int(_KEPT * len(data))] if is_cut else data, example["label"]

  shutil.rmtree(folder, ignore_errors=True)
  options = DataOptions()
  train = sources.open_source(options, "train")
  test = sources.open_source(options, "test")
  splits = {
    "train": [jpeg(train, index, index in corrupt) for index in range(TRAIN)],
    "test": [jpeg(test, index, False) for index in range(TEST)],
  }
  return write_prepared(
    folder,
    "faults",
    splits,
    train.classes,
    shape=(SIZE, SIZE, 1),
    encoding="jpeg",
  )


def truncate(prepared: Path, draw: random.Random) -> str:
  """Cuts the file of training records at a random byte; says where."""
  [file] = prepared.glob("*train*")
  size = file.stat().st_size
  kept = draw.randrange(size)
  with file.open("r+b") as opened:
    opened.truncate(kept)
  return f"{kept} of {size} bytes"
