"""Small pictures and sources for the tests of the data room."""

import io
import pathlib
import zlib

import numpy as np
from PIL import Image


def smooth_picture(seed: int, height: int, width: int, channels: int = 3) -> np.ndarray:
  """A picture that survives JPEG: uint8 (H, W, C), C 1 or 3."""
  generator = np.random.default_rng(seed)
  coarse = generator.integers(0, 256, (4, 5, 3), dtype=np.uint8)
  image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
  pixels = np.asarray(image)
  return pixels if channels == 3 else np.asarray(image.convert("L"))[:, :, None]


def encoded(pixels: np.ndarray, form: str = "JPEG", mode: str = "RGB", **options):
  """The picture as a file of `form`, in Pillow's `mode`."""
  pixels = pixels[:, :, 0] if pixels.shape[-1] == 1 else pixels
  buffer = io.BytesIO()
  Image.fromarray(pixels).convert(mode).save(buffer, form, **options)
  return buffer.getvalue()


def write_class_folders(
  root: pathlib.Path, classes: dict[str, int], height: int = 40, width: int = 50
) -> None:
  """Writes so many JPEG files into each class folder below `root`."""
  for name, count in classes.items():
    (root / name).mkdir(parents=True, exist_ok=True)
    for index in range(count):
      data = encoded(
        smooth_picture(zlib.crc32(name.encode()) % 1000 + index, height, width)
      )
      (root / name / f"{index}.jpg").write_bytes(data)


class ArraySource:
  """Uncompressed pictures in memory, each filled with its own index."""

  classes = ("even", "odd")

  def __init__(self, count: int, size: int = 8, channels: int = 1):
    self.count, self.shape = count, (size, size, channels)

  def __len__(self) -> int:
    return self.count

  def __getitem__(self, index: int):
    return {"image": np.full(self.shape, index % 256, np.uint8), "label": index % 2}

  def describe(self, index: int) -> str:
    return f"picture {index}"
