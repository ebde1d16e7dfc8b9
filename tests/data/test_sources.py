"""Prepared data sets, and what is said when they are not there."""

import json
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest

from neural_epitome.data import array_records, decoding, sources
from neural_epitome.data.options import DataOptions, SignalOptions
from neural_epitome.data.recipes.fashion_mnist import FASHION_MNIST_CLASSES
from neural_epitome.errors import UserError
from tests.data.helpers import encoded, smooth_picture


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
  """A toy `imagenet2012`: JPEGs of differing sizes, prepared as array_record."""
  root = tmp_path_factory.mktemp("prepared")
  rows = {
    split: [(encoded(smooth_picture(i, 30 + i, 50 - i)), i % 3) for i in range(count)]
    for split, count in (("train", 20), ("validation", 7))
  }
  array_records.write_prepared(
    root, "imagenet2012", rows, ("ant", "bee", "cow"), version="5.1.0", encoding="jpeg"
  )
  return root


@pytest.mark.slow
def test_the_embedded_set_is_balanced_small_and_disjoint():
  options, images = DataOptions(), {}
  for split, count in (("train", 1000), ("test", 200)):
    source = sources.open_source(options, split)
    assert source.classes == FASHION_MNIST_CLASSES
    examples = [source[i] for i in range(len(source))]
    labels = np.bincount([example["label"] for example in examples])
    np.testing.assert_array_equal(labels, np.full(10, count))
    images[split] = {example["image"] for example in examples}
  assert not images["train"] & images["test"]
  assert decoding.decode(examples[0]["image"], 1).shape == (28, 28, 1)
  folder = sources.EMBEDDED_DIR
  files = [path for path in folder.rglob("*") if path.is_file()]
  assert sum(path.stat().st_size for path in files) <= 8_000_000
  licence = (folder / "LICENSE").read_text()
  assert "MIT License" in licence
  assert "2017 Zalando SE" in licence


def test_a_prepared_set_is_read_by_name_with_slices(prepared):
  options = DataOptions(dataset="imagenet2012", data_dir=str(prepared))
  whole = sources.open_source(options, "train")
  assert whole.classes == ("ant", "bee", "cow")
  assert len(whole) == 20
  parts = [sources.open_source(options, s) for s in ("train[:90%]", "train[90%:]")]
  assert [len(part) for part in parts] == [18, 2]
  joined = [part[i]["image"] for part in parts for i in range(len(part))]
  assert joined == [whole[i]["image"] for i in range(20)]
  assert len(sources.open_source(options, "train[2:5]+validation")) == 10
  assert "example 3 of imagenet2012 train" in whole.describe(3)


def test_the_name_of_a_prepared_set_may_hold_a_version_or_be_its_folder(prepared):
  for name in ("imagenet2012:5.1.0", str(prepared / "imagenet2012" / "5.1.0")):
    options = DataOptions(dataset=name, data_dir=str(prepared))
    assert len(sources.open_source(options, "validation")) == 7


def test_the_newest_version_is_taken(tmp_path):
  for version in ("2.9.0", "10.0.0", "2.10.0"):
    folder = tmp_path / "digits" / version
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{}")
  (tmp_path / "digits" / "11.0.0").mkdir()  # not finished
  assert sources.find_prepared("digits", tmp_path).name == "10.0.0"
  assert sources.find_prepared("digits:2.9.0", tmp_path).name == "2.9.0"
  assert sources.find_prepared("digits:3.0.0", tmp_path) is None


def test_configs_are_found_and_told_apart(tmp_path):
  for config in ("small", "large"):
    folder = tmp_path / "birds" / config / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{}")
  directory = sources.find_prepared("birds/large", tmp_path)
  assert directory == tmp_path / "birds" / "large" / "1.0.0"
  with pytest.raises(UserError, match="birds/large, birds/small"):
    sources.find_prepared("birds", tmp_path)


@pytest.mark.parametrize("name", ["cifar10", "fashion_mnist", "no/such/folder", "x y"])
def test_absent_data_is_told_at_once_with_the_command(tmp_path, name):
  start = time.monotonic()
  options = DataOptions(dataset=name, data_dir=str(tmp_path))
  with pytest.raises(UserError, match=f"data.prepare {name} --data_dir={tmp_path}"):
    sources.open_source(options, "train")
  assert time.monotonic() - start < 1


def test_an_address_is_refused():
  options = DataOptions(dataset="imagenet2012", data_dir="gs://bucket/data")
  with pytest.raises(UserError, match="mount it as a folder"):
    sources.open_source(options, "train")


def test_tfrecord_is_refused_with_the_command_that_converts_it(tmp_path):
  folder = tmp_path / "cifar10" / "3.0.2"
  folder.mkdir(parents=True)
  (folder / "dataset_info.json").write_text(json.dumps({"fileFormat": "tfrecord"}))
  options = DataOptions(dataset="cifar10", data_dir=str(tmp_path))
  with pytest.raises(UserError, match=f"tfrecord.*convert --from_dir={folder}"):
    sources.open_source(options, "train")


def test_unknown_and_empty_splits_are_refused(prepared):
  options = DataOptions(dataset="imagenet2012", data_dir=str(prepared))
  with pytest.raises(UserError, match=r"no split 'test'.*validation"):
    sources.open_source(options, "test")
  with pytest.raises(UserError, match="empty"):
    sources.open_source(options, "train[:0]")
  with pytest.raises(UserError, match="cannot be read"):
    sources.open_source(options, "train[:nonsense]")


@pytest.fixture(scope="module")
def signals(tmp_path_factory):
  """A toy set of signals of differing lengths in three folds."""
  root = tmp_path_factory.mktemp("signals")
  generator = np.random.default_rng(0)
  rows = {
    f"fold_{fold}": [
      (generator.integers(-(2**15), 2**15, (50 + 10 * i, 2), np.int16), i % 2)
      for i in range(count)
    ]
    for fold, count in enumerate((3, 4, 5))
  }
  array_records.write_prepared_signals(root, "toy", rows, ("hum", "hiss"), channels=2)
  return root, rows


def test_signals_come_back_as_they_were_and_folds_add_up(signals):
  root, rows = signals
  options = SignalOptions(dataset="toy", data_dir=str(root))
  source = sources.open_source(options, "fold_0+fold_2")
  assert source.kind == "signal"
  assert source.classes == ("hum", "hiss")
  examples = {
    (e["signal"].tobytes(), e["label"]) for e in map(source.__getitem__, range(8))
  }
  assert len(source) == 8
  assert examples == {
    (s.tobytes(), label) for f in (0, 2) for s, label in rows[f"fold_{f}"]
  }
  assert source[0]["signal"].dtype == np.int16
  assert source[0]["signal"].shape[1] == 2


def test_every_part_of_a_sum_of_splits_is_looked_at(signals):
  options = SignalOptions(dataset="toy", data_dir=str(signals[0]))
  with pytest.raises(UserError, match=r"no split 'fold_7'.*fold_0"):
    sources.open_source(options, "fold_0[:50%]+fold_7")


def test_images_are_not_read_as_signals_nor_signals_as_images(signals, prepared):
  for options, split, words in (
    (DataOptions(dataset="toy", data_dir=str(signals[0])), "fold_0", "holds signals"),
    (SignalOptions(dataset="embedded"), "train", "holds images"),
    (
      SignalOptions(dataset="imagenet2012", data_dir=str(prepared)),
      "train",
      "holds images",
    ),
  ):
    with pytest.raises(UserError, match=words):
      sources.open_source(options, split)


def test_sources_travel_to_worker_processes(prepared):
  options = DataOptions(dataset="imagenet2012", data_dir=str(prepared))
  source = sources.open_source(options, "validation")
  copy = pickle.loads(pickle.dumps(source))
  assert copy[2] == source[2]


@pytest.mark.slow
def test_reading_batches_imports_no_tensorflow(prepared):
  code = f"""
import sys
from neural_epitome.data import pipeline, sources
from neural_epitome.data.options import DataOptions
for options in (
  DataOptions(batch_size=4),
  DataOptions(dataset="imagenet2012", data_dir={str(prepared)!r}, channels=3),
):
  source = sources.open_source(options, "train")
  for _ in range(2):
    next(pipeline.training_batches(source, options, seed=0))
assert "tensorflow" not in sys.modules and "torch" not in sys.modules
print("read")
"""
  # Iterators are left open on purpose: the program has to end all the same.
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
  )
  assert done.stdout == "read\n", done.stderr
