"""CIFAR-100's original pickles, read without running anything of them.

A pickle may name any function to call. The few names that an array of bytes needs are
known here and stand for functions of this module; any other is refused.
"""

import io
import math
import pathlib
import pickle
import pickletools
import tarfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from neural_epitome.errors import UserError

FOLDER = "cifar-100-python"
SIDE = 32
_NAMES = ("train", "test", "meta")


def read_pickles(
  source: pathlib.Path,
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], tuple[str, ...]]:
  """Reads both splits.

  Args:
    source: `cifar-100-python.tar.gz`, or a folder that holds it or what is in it.

  Returns:
    By split, images uint8 (N, 32, 32, 3) in RGB and labels uint8 (N,); and the names
    of the classes by label.

  Raises:
    UserError: if a file is missing or damaged, or a pickle asks to run code.
  """
  pickles = _find(source)
  splits = {split: _split(pickles[split], split) for split in ("train", "test")}
  names = _dictionary(pickles["meta"], "meta").get("fine_label_names")
  if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
    raise _damaged("meta", "no fine_label_names")
  return splits, tuple(names)


def _find(source: pathlib.Path) -> dict[str, bytes]:
  """The bytes of each file, by name."""
  for folder in (source, source / FOLDER):
    if all((folder / name).is_file() for name in _NAMES):
      return {name: (folder / name).read_bytes() for name in _NAMES}
  archive = source / f"{FOLDER}.tar.gz" if source.is_dir() else source
  if not archive.is_file():
    raise UserError(
      f"{source} holds neither {FOLDER}.tar.gz, nor its files train, test and meta, "
      "nor sheets with labels.npz."
    )
  content = {}
  try:
    with tarfile.open(archive) as tar:
      for name in _NAMES:
        member = tar.extractfile(f"{FOLDER}/{name}")
        if member is None:
          raise KeyError(name)
        content[name] = member.read()
  except (OSError, EOFError, KeyError, tarfile.TarError) as error:
    raise UserError(f"{archive} is no {FOLDER}.tar.gz ({error}); fetch it anew.") from (
      error
    )
  return content


def _split(data: bytes, split: str) -> tuple[np.ndarray, np.ndarray]:
  batch = _dictionary(data, split)
  pixels, labels = batch.get("data"), batch.get("fine_labels")
  if not isinstance(pixels, np.ndarray) or not isinstance(labels, list):
    raise _damaged(split, "no data with fine_labels")
  if pixels.shape != (len(labels), 3 * SIDE**2):
    raise _damaged(split, f"{len(labels)} labels for pixels {list(pixels.shape)}")
  if not all(type(label) is int and 0 <= label < 256 for label in labels):
    raise _damaged(split, "labels that are no bytes")
  images = pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
  return np.ascontiguousarray(images), np.array(labels, np.uint8)


def _dictionary(data: bytes, name: str) -> Mapping[str, Any]:
  """The dictionary that a pickle says, its keys and lists of names as text."""
  try:
    # Python makes room for as many objects as the highest number that one is put at,
    # and keeps a register of extensions beside `find_class`.
    for code, argument, _ in pickletools.genops(data):
      if "EXT" in code.name or ("PUT" in code.name and int(argument or 0) > len(data)):
        raise ValueError(f"{code.name} {argument}")
    # Python 2 wrote them: to it, text and the array's numbers were one type.
    content = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    if not isinstance(content, dict):
      raise ValueError("no dictionary")
    return {_plain(key): _plain(value) for key, value in content.items()}
  except UserError:
    raise
  except Exception as error:
    raise _damaged(name, str(error)) from error


def _damaged(name: str, why: str) -> UserError:
  return UserError(f"{name} of {FOLDER} is damaged ({why}); fetch it anew.")


def _plain(value: Any) -> Any:
  if isinstance(value, bytes):
    return value.decode()
  if isinstance(value, list):
    return [_plain(item) for item in value]
  return value.value if isinstance(value, _Bytes) else value


class _Bytes:
  """Stands for an array of bytes, which `__setstate__` fills."""

  value: np.ndarray

  def __setstate__(self, state: Any) -> None:
    _, shape, dtype, is_fortran, data = state
    if not isinstance(dtype, _Byte) or not isinstance(data, bytes):
      raise ValueError("an array that is not of bytes")
    if len(data) != math.prod(shape):
      raise ValueError(f"{len(data)} bytes for an array of shape {list(shape)}")
    order = "F" if is_fortran else "C"
    self.value = np.frombuffer(data, np.uint8).reshape(shape, order=order)


class _Byte:
  """Stands for the dtype uint8. Its state tells the byte order, which it has not."""

  def __init__(self, code: Any, *rest: Any):
    if code not in ("u1", b"u1"):
      raise ValueError(f"an array of {code!r}")

  def __setstate__(self, state: Any) -> None:
    del state


class _Unpickler(pickle.Unpickler):
  def find_class(self, module: str, name: str) -> Any:
    known = f"{module}.{name}"
    # NumPy 2 moved its core; a pickle may set attributes on what it is given: on these
    # functions, no other.
    if known.replace("_core", "core") == "numpy.core.multiarray._reconstruct":
      return lambda *_: _Bytes()
    if known == "numpy.ndarray":
      return lambda: None
    if known == "numpy.dtype":
      return lambda *arguments: _Byte(*arguments)
    raise UserError(
      f"A file of {FOLDER} asks for {known}, which is no array, and was not run: fetch "
      "it anew from its authors."
    )
