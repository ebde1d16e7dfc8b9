"""One training step of the shipped experiments, through the whole program.

Of those on ImageNet one is trained: their networks take long to compile. What the
others say of themselves is counted.
"""

import json

import cv2
import numpy as np
import pytest

import neural_epitome as ne
from neural_epitome.config import override
from neural_epitome.data.array_records import write_prepared, write_prepared_signals
from neural_epitome.experiment import shipped
from neural_epitome.report import summary
from neural_epitome.training import setup

# What keeps a step short: few images, a block a stage (the counts of whole networks are
# tested beside the models), and batch norm re-estimated in the tests of whole runs.
SHALLOW = {
  "mobilenet_v2": lambda model: "0.25",
  "efficientnet": lambda model: "0.25",
  "resnet": lambda model: {20: "8", 50: "18"}.get(model.depth, str(model.depth)),
}
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
  """A prepared `imagenet2012` of JPEGs of mixed sizes, grey and broken ones too."""
  random = np.random.default_rng(0)

  def jpeg(index):
    size = random.integers(80, 300, 2)
    shape = (*size, 3) if index % 3 else tuple(size)
    noise = random.integers(0, 255, shape, dtype=np.uint8)
    data = cv2.imencode(".jpg", noise)[1].tobytes()
    return data[:200] if index in (1, 5, 7) else data

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


# Not trained here; stored parameters and multiply-adds, as their headers have them.
COUNTS = {
  "mbv2_dense_imagenet": (3_504_872, 300_774_272),
  "efficientnet_b0_epitome_imagenet": (3_106_276, 215_936_736),
  "efficientnet_b1_tile_imagenet": (3_217_384, 315_149_824),
  "resnet50_epitome_imagenet": (13_834_367, 1_699_976_596),
  "netadaptv2_mobile_imagenet": (5_089_240, 618_570_240),
}


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_an_imagenet_experiment_stores_and_computes_what_its_header_says(name):
  config = ne.load_experiment(name)
  inventory, plan = setup.plan(config)
  found = summary.prices(config, plan, inventory)
  assert (found["stored_params"], found["madds"]) == COUNTS[name]
  assert config.data.input_shape == (224, 224, 3)


@pytest.mark.parametrize("name", sorted(set(shipped()) - set(COUNTS)))
def test_one_step_of_the_experiment_trains_evaluates_and_reports(
  name, tmp_path, request
):
  config = ne.load_experiment(name)
  changes = dict(SHORT)
  if shallow := SHALLOW.get(config.model.kind):
    changes["model.depth"] = shallow(config.model)
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
  is_imagenet = config.data.dataset == "imagenet2012"
  assert report.get("bad_train_examples", 0) == (1 if is_imagenet else 0)
  assert report.get("bad_evaluation_examples", 0) == (2 if is_imagenet else 0)
  is_dense = config.planner.kind == "dense"
  assert (report["stored_params"] == report["dense_params"]) == is_dense
  assert (report["madds"] < report["dense_madds"]) == (config.execution == "fold")
  lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
  trained = [json.loads(line) for line in lines if '"train"' in line]
  assert len(trained) == 1
  assert np.isfinite(trained[0]["loss"])
  assert trained[0]["gradient_norm"] > 0
