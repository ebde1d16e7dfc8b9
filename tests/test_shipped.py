"""The shipped experiments: what their headers say, and one training step of each.

Of those on ImageNet one is trained, through the whole program.
"""

import dataclasses
import json
import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest

import neural_epitome as ne
from benchmarks import common
from neural_epitome.config import override
from neural_epitome.data.array_records import write_prepared, write_prepared_signals
from neural_epitome.experiment import shipped
from neural_epitome.report import summary
from neural_epitome.training import setup
from tests import commands, headers, pages

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


# Those that only a benchmark runs stand beside it.
FILES = shipped() | {
  file.stem: file
  for file in Path(common.__file__).parent.rglob("*.py")
  if "\nCONFIG = " in file.read_text(encoding="utf-8")
}
HEADERS = {name: headers.read(file) for name, file in FILES.items()}
every = pytest.mark.parametrize("name", sorted(HEADERS))


def planned(name):
  """The configuration of an experiment and its prices, as `--mode=plan` has them."""
  config = ne.load_experiment(FILES[name])
  inventory, plan = setup.plan(config)
  folded = dataclasses.replace(config, execution="fold")
  return config, summary.prices(folded, plan, inventory)


@pytest.mark.slow
@every
def test_an_experiment_stores_and_computes_what_its_header_says(name):
  config, prices = planned(name)
  stored, dense = prices["stored_params"], prices["dense_params"]
  parameters = f"{stored:,}" if stored == dense else f"{stored:,} stored of {dense:,}"
  assert HEADERS[name].fields["Parameters"] == parameters
  folded, madds = (f"{prices[key] / 1e6:,.1f}M" for key in ("madds", "dense_madds"))
  text = madds if folded == madds else f"{madds}, {folded} folded"
  assert HEADERS[name].fields["MAdds"] == text
  for rate in re.findall(r"(?<!learning )rate (\d+(?:\.\d+)?)", HEADERS[name].text):
    assert config.planner.rate == float(rate)


def measured(name, source):
  """The rows of each seed of an experiment in a table, strategies side by side."""
  rows = [
    row
    for row in common.read(source.file.removesuffix(".csv"))
    if row["experiment"] == name
    and row["dataset"] == ne.load_experiment(FILES[name]).data.dataset
    and row["seed"].isdigit()
    and (not source.strategies or row["strategy"] in source.strategies)
  ]
  by_seed = {
    seed: [row for row in rows if row["seed"] == seed]
    for seed in sorted({row["seed"] for row in rows})
  }
  assert by_seed, f"{source.file} has no run of {name}"
  for seed, mine in by_seed.items():
    assert len(mine) == max(1, len(source.strategies)), f"seed {seed}"
  return by_seed


@pytest.mark.parametrize("name", [n for n, header in HEADERS.items() if header.top1])
def test_an_experiment_is_as_accurate_as_its_header_and_its_table_say(name):
  accuracy = HEADERS[name].top1
  by_seed = measured(name, accuracy.source)
  column = "top1" if accuracy.source.strategies else "top1_percent"
  tops = [float(mine[-1][column]) for mine in by_seed.values()]
  assert (len(tops), f"{np.mean(tops):.1f}") == (accuracy.seeds, accuracy.mean)
  assert f"{np.std(tops, ddof=1):.1f}" == accuracy.spread
  if not accuracy.source.strategies:
    # What was measured is what this code trains.
    _, prices = planned(name)
    for [row] in by_seed.values():
      assert int(row["stored_params"]) == prices["stored_params"]
      assert int(row["madds"]) == prices["dense_madds"]


@pytest.mark.parametrize("name", [n for n, header in HEADERS.items() if header.times])
def test_an_experiment_takes_as_long_as_its_header_and_its_table_say(name):
  for time in HEADERS[name].times:
    by_seed = measured(name, time.source)
    seconds = [sum(float(row["seconds"]) for row in rows) for rows in by_seed.values()]
    assert time.seconds == round(np.mean(seconds))
    column = "device" if time.source.strategies else "machine"
    machines = {row[column] for rows in by_seed.values() for row in rows}
    assert all(machine.endswith(f"cores: {time.cores}") for machine in machines)


@every
def test_the_commands_of_a_header_are_understood_and_the_last_is_of_its_experiment(
  name, monkeypatch
):
  monkeypatch.chdir(pages.ROOT)
  lines = HEADERS[name].commands
  for line in lines:
    commands.check(line)
  _, arguments = commands.module(shlex.split(lines[-1]))
  assert commands.configuration(arguments).name == name


# Not trained here: these networks take long to compile.
LARGE = {
  "mbv2_dense_imagenet",
  "efficientnet_b0_epitome_imagenet",
  "efficientnet_b1_tile_imagenet",
  "resnet50_epitome_imagenet",
  "deit_tiny_epitome_imagenet",
  "netadaptv2_mobile_imagenet",
  "nse27_mobile",
  "nse_group_mobile",
  "nse_gpu_latency",
  "nsenet27_imagenet",
  "nsenet_imagenet",
  "nsenet_gpu_imagenet",
  # A supernet of gates, which tests/search trains.
  "nse_quick",
  # They store trained weights.
  "resnet18_windows_imagenet",
  "resnet50_windows_imagenet",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(shipped()) - LARGE))
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
