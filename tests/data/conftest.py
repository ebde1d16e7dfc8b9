"""Fixtures of the data room."""

import gzip
import struct

import numpy as np
import pytest


def _write_idx(path, array):
  header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
  path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


@pytest.fixture
def idx_dir(tmp_path):
  """Four idx files of a small Fashion-MNIST: 3 training, 2 test images a class."""
  folder = tmp_path / "idx"
  folder.mkdir()
  generator = np.random.default_rng(0)
  for prefix, each in (("train", 3), ("t10k", 2)):
    labels = generator.permutation(np.repeat(np.arange(10), each))
    images = generator.integers(0, 256, (10 * each, 28, 28))
    images[:, 0, 0] = labels
    _write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", images)
    _write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", labels)
  return folder
