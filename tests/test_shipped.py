"""One training step of every shipped experiment, through the whole program."""

import json

import cv2
import numpy as np
import pytest

import neural_epitome as ne
from neural_epitome.config import override
from neural_epitome.data.array_records import write_prepared, write_prepared_signals
from neural_epitome.experiment import shipped

# What keeps a step short: few images, and batch norm is re-estimated in the tests of
# whole runs.
SHORT = {
  "data.batch_size": "4",
  "data.evaluation_batch_size": "8",
  "data.workers": "0",
  "training.reestimation_batches": "0",
}
EMBEDDED = {
  "data.train_split": "train[:4]",
  "data.evaluation_split": "test[:8]",
  "training.epochs": "1",
}


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
  """A prepared `imagenet2012` of JPEGs of mixed sizes, grey ones too."""
  random = np.random.default_rng(0)

  def jpeg(index):
    size = random.integers(80, 300, 2)
    shape = (*size, 3) if index % 3 else tuple(size)
    noise = random.integers(0, 255, shape, dtype=np.uint8)
    return cv2.imencode(".jpg", noise)[1].tobytes()

  examples = [(jpeg(i), i % 5) for i in range(12)]
  root = tmp_path_factory.mktemp("tfds")
  splits = {"train": examples[:4], "validation": examples[4:]}
  classes = [f"n{i:08}" for i in range(5)]
  write_prepared(root, "imagenet2012", splits, classes, encoding="jpeg")
  return root


@pytest.fixture(scope="module")
def signals(tmp_path_factory):
  """The prepared sets of signals, four training and eight test examples each."""
  random = np.random.default_rng(0)

  def rows(count, dtype):
    scale = 9000 if dtype == np.int16 else 1
    lengths = random.integers(300, 9000, count)
    return [
      ((scale * random.standard_normal((n, 1))).astype(dtype), i % 3)
      for i, n in enumerate(lengths)
    ]

  root = tmp_path_factory.mktemp("tfds_signals")
  for name, test, train, dtype in (
    ("drums", "fold_0", ("fold_1", "fold_2", "fold_3", "fold_4"), np.int16),
    ("esc50", "fold_5", ("fold_1", "fold_2", "fold_3", "fold_4"), np.int16),
    ("plaid", "test", ("train",), np.float32),
  ):
    splits = {split: rows(4 // len(train), dtype) for split in train}
    splits[test] = rows(8, dtype)
    write_prepared_signals(root, name, splits, ("a", "b", "c"), dtype=dtype)
  return root


@pytest.mark.parametrize("name", sorted(shipped()))
def test_one_step_of_the_experiment_trains_evaluates_and_reports(
  name, tmp_path, request
):
  config = ne.load_experiment(name)
  changes = dict(SHORT)
  if config.data.dataset == "embedded":
    changes |= EMBEDDED
  else:
    is_signal = config.data.kind == "signal"
    root = request.getfixturevalue("signals" if is_signal else "imagenet")
    changes |= {"data.data_dir": str(root), "training.epochs": "1"}
    if is_signal:
      changes |= {"data.length": str(min(config.data.length, 8192))}
  for path, text in changes.items():
    config = override(config, path, text)
  report = ne.run(config, tmp_path / "run", quiet=True)
  assert report["steps"] == 1
  assert report["experiment"] == name
  assert np.isfinite(report["top1"])
  is_dense = config.planner.kind == "dense"
  assert (report["stored_params"] == report["dense_params"]) == is_dense
  assert (report["madds"] < report["dense_madds"]) == (config.execution == "fold")
  lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
  trained = [json.loads(line) for line in lines if '"train"' in line]
  assert len(trained) == 1
  assert np.isfinite(trained[0]["loss"])
  assert trained[0]["gradient_norm"] > 0
