"""A run that trains the dense network first, and then the same in so many bytes."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import neural_epitome as ne
from neural_epitome import codec
from neural_epitome.cost import totals
from neural_epitome.epitome.generators import WindowedEpitome
from neural_epitome.planning import RatePlanner
from neural_epitome.training import phases, setup, small_start
from tests.training.tiny import TinyConfig, experiment

ROOT = pathlib.Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("phases")]


def in_phases(**changes):
  config = dataclasses.replace(experiment(), model=TinyConfig(features=32))
  changes = {"dense_epochs": 1.0, "epochs": 1.0, "frozen_fraction": 0.0} | changes
  training = dataclasses.replace(config.training, **changes)
  return dataclasses.replace(config, training=training)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("run") / "small"
  config = in_phases(budget="8x")
  return config, workdir, ne.run(config, workdir, quiet=True)


def test_what_is_stored_has_the_bytes_of_the_budget(finished):
  _, workdir, _ = finished
  trained = ne.load(workdir)
  inventory = setup.take_inventory(trained.config, len(trained.classes))
  price = totals.price(trained.plan, inventory)
  # Of three kernels, one of which has most of the weights, a step is a few percent.
  assert 0.9 * 4 * inventory.size / 8 <= price.stored_bytes <= 4 * inventory.size / 8
  assert any(
    isinstance(kernel.generator, WindowedEpitome)
    for kernel in trained.plan.kernels.values()
  )


def test_it_starts_from_the_dense_network_that_teaches_it(finished):
  _, workdir, _ = finished
  config = json.loads((workdir / "config.json").read_text())
  assert config["training"]["start"] == str(workdir / "start.npz")
  assert config["training"]["teacher"] == str(workdir / "dense")
  dense = ne.load(workdir / "dense")
  assert not dense.plan.compressed
  start = np.load(workdir / "start.npz")
  name = "params/classifier/bias"
  np.testing.assert_allclose(
    start[name], dense.variables["params"]["classifier"]["bias"]
  )


def test_the_same_call_finds_it_done_and_what_differs_is_another_run(
  finished, tmp_path
):
  config, workdir, report = finished
  assert ne.run(config, workdir, quiet=True) == report
  for changes in ({"budget": "9x"}, {"teacher": str(workdir)}, {"start": "other.pth"}):
    [name] = changes
    with pytest.raises(ne.UserError, match=rf"config\.training\.{name}="):
      ne.run(in_phases(**{"budget": "8x"} | changes), workdir, quiet=True)


def test_a_run_in_phases_is_resumed_where_it_stopped(finished, tmp_path, monkeypatch):
  config, _, report = finished

  def stop(*arguments, **options):
    raise KeyboardInterrupt

  workdir = tmp_path / "run"
  with monkeypatch.context() as patch:
    patch.setattr(phases.small_start, "make", stop)
    with pytest.raises(KeyboardInterrupt):
      ne.run(config, workdir, quiet=True)
  metrics = (workdir / "dense" / "metrics.jsonl").read_bytes()
  with monkeypatch.context() as patch:
    patch.setattr(phases.loop, "run", lambda *a, **k: stop() if a[1] == workdir else 0)
    with pytest.raises(KeyboardInterrupt):
      ne.run(config, workdir, quiet=True)
  start = (workdir / "start.npz").stat().st_mtime_ns
  again = ne.run(config, workdir, quiet=True)
  assert again["top1"] == report["top1"]
  assert (workdir / "dense" / "metrics.jsonl").read_bytes() == metrics
  assert (workdir / "start.npz").stat().st_mtime_ns == start


def test_without_a_budget_the_planner_says_what_is_stored(tmp_path):
  planner = RatePlanner(rate=2.0)
  config = dataclasses.replace(in_phases(), planner=planner)
  ne.run(config, tmp_path / "run", quiet=True)
  trained = ne.load(tmp_path / "run")
  assert trained.config.planner == planner
  assert trained.config.training.start == str(tmp_path / "run" / "dense")
  # What its offsets were learned by is no kernel of the network that is stored next.
  small = small_start.make(trained, in_phases(budget="8x"), quiet=True)
  assert set(small.planner.bits) <= set(trained.plan.kernels)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"budget": "8x", "start": ""}, "needs a trained network"),
    ({"budget": "eight"}, "config.training.budget='eight' must be bytes"),
    ({"budget": "eight", "dense_epochs": 9.0}, "'eight' must be bytes"),
    ({"budget": "2M madds"}, "'2M madds' must be bytes"),
    ({"budget": "50B"}, r"budget='50B', 50 bytes, cannot be met: the smallest"),
  ],
)
def test_a_budget_that_cannot_be_met_is_one_line(changes, message, finished, tmp_path):
  _, workdir, _ = finished
  given = {"dense_epochs": 0.0, "start": str(workdir / "dense")}
  with pytest.raises(ne.UserError, match=message) as caught:
    ne.run(in_phases(**given | changes), tmp_path / "run", quiet=True)
  assert "\n" not in str(caught.value)
  assert not (tmp_path / "run" / "dense").exists()


def test_bits_of_ones_own_and_a_network_of_other_classes_are_refused(
  finished, tmp_path
):
  _, workdir, _ = finished
  config = in_phases(budget="8x", dense_epochs=0.0, start=str(workdir / "dense"))
  with pytest.raises(ne.UserError, match="bits=4 cannot be asked for"):
    ne.run(dataclasses.replace(config, bits=4), tmp_path / "bits", quiet=True)
  trained = ne.load(workdir / "dense")
  fewer = dataclasses.replace(trained, classes=trained.classes[:4])
  with pytest.raises(ne.UserError, match="tells 4 classes apart, the data 10"):
    small_start.make(fewer, config, quiet=True)


def test_a_directory_of_something_else_is_refused_before_the_first_phase(tmp_path):
  (tmp_path / "run" / "checkpoints").mkdir(parents=True)
  with pytest.raises(ne.UserError, match="it is not a run to resume"):
    ne.run(in_phases(budget="8x"), tmp_path / "run", quiet=True)
  assert not (tmp_path / "run" / "dense").exists()


def test_the_directory_of_a_plain_run_is_refused_and_nothing_is_written(finished):
  """The dense phase is one."""
  _, workdir, _ = finished
  before = sorted(path.name for path in (workdir / "dense").iterdir())
  with pytest.raises(ne.UserError, match="nothing was changed"):
    ne.run(in_phases(budget="8x"), workdir / "dense", quiet=True)
  assert sorted(path.name for path in (workdir / "dense").iterdir()) == before


def test_two_processes_store_and_train_one_network(tmp_path):
  experiment = tmp_path / "two_phases.py"
  experiment.write_text(
    '''"""Tiny, in two phases."""
import dataclasses
from tests.training.test_phases import in_phases
CONFIG = dataclasses.replace(in_phases(budget="8x"), name="two_phases")
'''
  )
  workdir = tmp_path / "run"
  command = [sys.executable, "-m", "launch.local_cluster", "--processes=2", "--"]
  flags = [f"--experiment={experiment}", f"--workdir={workdir}"]
  told = subprocess.run(
    [*command, *flags], cwd=ROOT, capture_output=True, text=True, timeout=600
  )
  assert told.returncode == 0, told.stdout + told.stderr
  trained = ne.load(workdir)
  planner = json.loads((workdir / "planner.json").read_text())
  assert json.loads(json.dumps(codec.encode(trained.config.planner))) == planner
  assert trained.step == 10
