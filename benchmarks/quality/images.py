"""CIFAR-100, whole, as arrays of bytes that stay on the device.

Sheets (see `data.recipes.cifar100`) are decoded once, each into a file of its own, so
that they may arrive one after the other: a machine that can be handed but a few at a
time keeps what it has.
"""

import dataclasses
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from neural_epitome.errors import UserError

CLASSES = 100
SHAPE = (32, 32, 3)
TRAIN = tuple(f"train-{i}" for i in range(5))
TEST = "test"
SHEET = 10_000  # images
# Of the training set, in [0, 1], by channel.
MEAN = (0.5071, 0.4865, 0.4409)
DEVIATION = (0.2673, 0.2564, 0.2762)


@dataclasses.dataclass(frozen=True)
class Images:
  """A split.

  Attributes:
    image: uint8 (N, 32, 32, 3).
    label: int32 (N,).
  """

  image: jax.Array
  label: jax.Array


jax.tree_util.register_dataclass(Images)


def cached(cache: Path, name: str) -> Path:
  """Where a decoded sheet lies."""
  return cache / f"{name}.npz"


def decode(data: Path | None, cache: Path, names: tuple[str, ...]) -> list[str]:
  """Decodes those of the sheets that are in `data` and not in `cache`.

  Returns:
    The names of the sheets that are in neither.
  """
  missing = []
  for name in names:
    if cached(cache, name).is_file():
      continue
    if data is None or not (data / f"{name}.webp").is_file():
      missing.append(name)
      continue
    # Only here: a machine that is handed decoded sheets needs no OpenCV.
    from neural_epitome.data.recipes.cifar100 import read_sheet

    image, label = read_sheet(data, name)
    cache.mkdir(parents=True, exist_ok=True)
    partial = cached(cache, f".{name}-{os.getpid()}")
    np.savez(partial, image=image, label=label)
    os.replace(partial, cached(cache, name))
  return missing


def load(data: Path | None, cache: Path, names: tuple[str, ...]) -> Images:
  """Sheets on the device, one after the other.

  Args:
    data: folder of sheets.
    cache: folder of decoded ones.
    names: of the sheets.

  Raises:
    UserError: if a sheet is in neither.
  """
  if missing := decode(data, cache, names):
    raise UserError(
      f"{', '.join(missing)}: neither in --data={data} nor decoded in {cache}."
    )
  images, labels = [], []
  for name in names:
    with np.load(cached(cache, name)) as file:
      images.append(file["image"])
      labels.append(file["label"].astype(np.int32))
  return Images(
    jnp.asarray(np.concatenate(images)), jnp.asarray(np.concatenate(labels))
  )
