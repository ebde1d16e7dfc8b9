"""Fashion-MNIST from idx files: all pixels, stratified subsets, broken files."""

import cv2
import numpy as np
import pytest

from neural_epitome.data import decoding, sources
from neural_epitome.data.options import DataOptions
from neural_epitome.data.recipes import fashion_mnist
from neural_epitome.errors import UserError
from tests.data.helpers import smooth_picture


def test_the_full_set_comes_back_as_it_was(idx_dir, tmp_path):
  fashion_mnist.prepare_fashion_mnist(idx_dir, tmp_path / "data")
  options = DataOptions(dataset="fashion_mnist", data_dir=str(tmp_path / "data"))
  for split, (images, labels) in fashion_mnist.read_fashion_mnist(idx_dir).items():
    source = sources.open_source(options, split)
    assert source.classes == fashion_mnist.FASHION_MNIST_CLASSES
    examples = [source[i] for i in range(len(source))]
    read = {decoding.decode(e["image"], 1).tobytes(): e["label"] for e in examples}
    assert read == {
      image.tobytes(): label for image, label in zip(images, labels, strict=True)
    }


def test_the_subset_is_stratified_and_follows_from_the_seed(
  idx_dir, tmp_path, monkeypatch
):
  monkeypatch.setattr(fashion_mnist, "EMBEDDED_PER_CLASS", {"train": 2, "test": 1})
  contents = []
  for name, seed in (("a", 0), ("b", 0), ("c", 1)):
    directory = fashion_mnist.make_embedded(idx_dir, tmp_path / name, seed)
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
    decoding.decode(fashion_mnist.encode_png(image), channels), image
  )
  plain = cv2.imencode(".png", image)[1]
  assert len(fashion_mnist.encode_png(image)) <= len(plain)


def test_broken_idx_files_are_named(idx_dir, tmp_path):
  path = idx_dir / "train-labels-idx1-ubyte.gz"
  path.write_bytes(path.read_bytes()[:-9])
  with pytest.raises(UserError, match=r"train-labels-idx1-ubyte\.gz is no idx file"):
    fashion_mnist.prepare_fashion_mnist(idx_dir, tmp_path / "data")
  path.unlink()
  with pytest.raises(UserError, match=r"dataset-fashion-mnist"):
    fashion_mnist.prepare_fashion_mnist(idx_dir, tmp_path / "data")


def test_nothing_prepared_is_overwritten(idx_dir, tmp_path):
  fashion_mnist.prepare_fashion_mnist(idx_dir, tmp_path)
  with pytest.raises(UserError, match="exists already"):
    fashion_mnist.prepare_fashion_mnist(idx_dir, tmp_path)
