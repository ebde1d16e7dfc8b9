"""Preparing data sets without TensorFlow."""

import gzip
import struct
import subprocess
import sys

import cv2
import numpy as np
import pytest

from neural_epitome.data import decoding, prepare, sources
from neural_epitome.data.options import DataOptions
from neural_epitome.errors import UserError
from tests.data.helpers import smooth_picture


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


def test_the_full_set_comes_back_as_it_was(idx_dir, tmp_path):
  prepare.prepare_fashion_mnist(idx_dir, tmp_path / "data")
  options = DataOptions(dataset="fashion_mnist", data_dir=str(tmp_path / "data"))
  for split, (images, labels) in prepare.read_fashion_mnist(idx_dir).items():
    source = sources.open_source(options, split)
    assert source.classes == prepare.FASHION_MNIST_CLASSES
    examples = [source[i] for i in range(len(source))]
    read = {decoding.decode(e["image"], 1).tobytes(): e["label"] for e in examples}
    assert read == {
      image.tobytes(): label for image, label in zip(images, labels, strict=True)
    }


def test_the_subset_is_stratified_and_follows_from_the_seed(
  idx_dir, tmp_path, monkeypatch
):
  monkeypatch.setattr(prepare, "EMBEDDED_PER_CLASS", {"train": 2, "test": 1})
  contents = []
  for name, seed in (("a", 0), ("b", 0), ("c", 1)):
    directory = prepare.make_embedded(idx_dir, tmp_path / name, seed)
    source = sources.PreparedSource(directory, "train")
    labels = [source[i]["label"] for i in range(len(source))]
    np.testing.assert_array_equal(np.bincount(labels), np.full(10, 2))
    contents.append([source[i]["image"] for i in range(len(source))])
    assert (tmp_path / name / "LICENSE").is_file()
  assert contents[0] == contents[1]
  assert contents[0] != contents[2]


@pytest.mark.parametrize("channels", [1, 3])
def test_png_keeps_every_pixel_and_channel_order(channels):
  image = smooth_picture(0, 20, 30, channels)
  np.testing.assert_array_equal(
    decoding.decode(prepare.encode_png(image), channels), image
  )
  plain = cv2.imencode(".png", image)[1]
  assert len(prepare.encode_png(image)) <= len(plain)


def test_broken_idx_files_are_named(idx_dir, tmp_path):
  path = idx_dir / "train-labels-idx1-ubyte.gz"
  path.write_bytes(path.read_bytes()[:-9])
  with pytest.raises(UserError, match=r"train-labels-idx1-ubyte\.gz is no idx file"):
    prepare.prepare_fashion_mnist(idx_dir, tmp_path / "data")
  path.unlink()
  with pytest.raises(UserError, match=r"dataset-fashion-mnist"):
    prepare.prepare_fashion_mnist(idx_dir, tmp_path / "data")


def test_nothing_prepared_is_overwritten(idx_dir, tmp_path):
  prepare.prepare_fashion_mnist(idx_dir, tmp_path)
  with pytest.raises(UserError, match="exists already"):
    prepare.prepare_fashion_mnist(idx_dir, tmp_path)


def test_the_command_prepares_and_tells_mistakes_in_one_line(idx_dir, tmp_path, capsys):
  arguments = ["fashion_mnist", f"--idx_dir={idx_dir}", f"--data_dir={tmp_path}"]
  assert prepare.main(arguments) == 0
  assert "Prepared" in capsys.readouterr().out
  assert prepare.main(arguments) == 1
  assert capsys.readouterr().err.count("\n") == 1
  assert prepare.main(["convert", f"--data_dir={tmp_path}"]) == 1
  assert "--from_dir" in capsys.readouterr().err


def test_the_module_runs_as_a_command():
  command = [sys.executable, "-m", "neural_epitome.data.prepare", "--help"]
  done = subprocess.run(command, capture_output=True, text=True, timeout=60)
  assert done.returncode == 0
  assert "fashion_mnist" in done.stdout
