"""The compact file, compressed once more."""

import gzip
import pathlib

from neural_epitome.export import compact

ENDING = ".safetensors.gz"
IS_PROGRAM = False


def write(path, trained, bits=32):
  """Writes the file of a network; see `neural_epitome.export`."""
  plain = pathlib.Path(f"{path}.plain")
  compact.write(plain, trained, bits)
  pathlib.Path(path).write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
  plain.unlink()


def read(path):
  """Images to logits."""
  plain = pathlib.Path(f"{path}.safetensors")
  plain.write_bytes(gzip.decompress(pathlib.Path(path).read_bytes()))
  try:
    return compact.read(plain)
  finally:
    plain.unlink()
